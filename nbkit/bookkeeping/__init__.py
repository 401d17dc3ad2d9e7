"""Records of what was paid: a row for each call, in a file of this user."""
