"""Complete jobs: the only place where the parts meet.

One public module is one recipe: its `SettingsType` says what can be set, its `run(settings,
progress=...)` does the job and returns what is worth reporting.
"""
