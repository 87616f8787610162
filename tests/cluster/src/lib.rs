//! What crosses rooms: faults of whole networks of real processes.
