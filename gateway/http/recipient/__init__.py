"""Pages for recipients: no sign-in, no script, nothing from other hosts; GET shows, POST acts."""
