"""The state coordinator: the one door through which state reaches the store, as commit lanes with a front."""
