"""What every part may use, and what knows none of them: settings, logging, systemd, lines, atomic files."""
