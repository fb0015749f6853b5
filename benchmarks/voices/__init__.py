"""The whole road of a trained voice, as an operator goes it: from a chat export to a bot that
answers on the web page.

    python -m benchmarks.voices --corpora DIR --out FOLDER

It makes the Slack export of a team (`team`) and runs the real commands on it (`operator`): import,
dataset, training of a whole model twice and of an adapter, evaluation, promotion. Then a daemon
serves the voice and is asked what was held out (`house`), while another version goes live, and the
first one again. All that was typed and printed is in FOLDER/transcript.txt.

It raises when a count, an exit code or a switch is not as it should be; never because a figure is
low. Figures are kept in benchmarks/out/voices.json.
"""
