"""The one decoder of whisper's files: layout and content as data, and the change from one layout to another."""
