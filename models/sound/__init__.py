"""Sound: recordings written down, and words spoken. All of it runs in the model process but
`engines` and `files`, which live in the daemon.

    decoding    any recording into samples, bounded and without trust
    encoding    samples into a voice note
    hearing     what is said in a recording, with faster-whisper
    speaking    a text sentence by sentence into one voice note
    espeak      the voice that comes with pip
    piper       a voice of Piper
    runners     their threads in the model process
    engines     what the daemon asks of them
    files       finds a model's files and says what is wrong with them
"""
