// GloveboxCommands
