"""Stand-ins for what is around the plugin in a process of Hermes."""

import gc
import threading

PLACE = "tools.checkpoint_manager"


class Hermes:
    """What gives a plugin its context, and holds on to what it registers."""

    def __init__(self):
        self.hooks, self.commands = {}, {}

    def register_hook(self, hook_name, callback):
        self.hooks.setdefault(hook_name, []).append(callback)

    def register_command(self, name, handler, description="", args_hint=""):
        self.commands[name] = handler

    def invoke(self, hook, **given):
        return [callback(**given) for callback in self.hooks[hook]]

    def forget_plugins(self):
        self.hooks.clear()
        self.commands.clear()
        gc.collect()


class Deaf(Hermes):
    """One that has a command of the name already."""

    def register_command(self, name, handler, description="", args_hint=""):
        return None


class Agent:
    """What takes part in requests: a manager, as far as they see it."""

    enabled = True

    def __init__(self):
        self.ended, self.broken = [], []
        self.last_outcome = {"taken": True, "why": "taken", "message": "", "directory": ""}

    def turn_ended(self):
        self.ended.append(threading.current_thread())

    def broken_off(self):
        self.broken.append(threading.current_thread())
