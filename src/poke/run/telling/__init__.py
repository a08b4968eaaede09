"""What a run says of itself: its account, messages, code and causes."""
