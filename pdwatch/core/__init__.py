"""Pure decisions: functions of values, with no event loop, no I/O, no clock and no logging."""
