//! Starts and stops whole local networks of r1d and r1-hostd processes.
