"""What bots can look up: folders of text, read into passages, found by words and by meaning, and
told to a bot with where they stand. Knows the store and the engines' doors, and no platform.

`folders` says what files there are, `worker` reads one in a process of its own (`reading`,
`cutting`), `indexing` keeps the index up to date, `search` finds, `briefing` tells a bot, and
`citing` says under its answer where that stands.
"""
