// A room that has only headers so far.
