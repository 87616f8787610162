//! The typed contract between r1d and r1-hostd: org.ratio1.Host1.
