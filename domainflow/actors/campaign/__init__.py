"""A campaign: one owned stream, one actor; see messages, core, actor."""
