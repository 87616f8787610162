//! When the next height starts: heights cost messages and disk, so there is none without something to decide.

/// What is known when the next height might start. Times are milliseconds on one steady clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// Now.
    pub now_ms: u64,
    /// When the last height was started here, if one was.
    pub last_start_ms: Option<u64>,
    /// The last height decided here.
    pub tip: u64,
    /// The highest height that a peer claimed to have decided or voted about.
    pub peer_height: u64,
    /// A valid payload for the next height arrived from its proposer.
    pub proposed: bool,
    /// The application has something to decide.
    pub work: bool,
}

/// Whether to start the next height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Now.
    Now,
    /// There is work, but the last height started too recently: at this time.
    At(u64),
    /// There is nothing to decide.
    Idle,
}

/// Decides when to start the next height: at once to catch up with the others or to join their proposal; for own
/// work at most one per `interval_ms`.
pub fn start(situation: &Situation, interval_ms: u64) -> Start {
    if situation.peer_height > situation.tip || situation.proposed {
        return Start::Now;
    }
    if !situation.work {
        return Start::Idle;
    }
    match situation
        .last_start_ms
        .map(|last| last.saturating_add(interval_ms))
    {
        Some(due) if due > situation.now_ms => Start::At(due),
        _ => Start::Now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Situation = Situation {
        now_ms: 10_500,
        last_start_ms: Some(10_000),
        tip: 5,
        peer_height: 5,
        proposed: false,
        work: false,
    };

    #[test]
    fn nothing_to_decide_starts_nothing() {
        assert_eq!(start(&IDLE, 1000), Start::Idle);
        assert_eq!(
            start(
                &Situation {
                    last_start_ms: None,
                    ..IDLE
                },
                1000
            ),
            Start::Idle
        );
    }

    #[test]
    fn own_work_waits_for_the_interval() {
        assert_eq!(start(&Situation { work: true, ..IDLE }, 1000), Start::At(11_000));
        assert_eq!(
            start(
                &Situation {
                    work: true,
                    now_ms: 11_000,
                    ..IDLE
                },
                1000
            ),
            Start::Now
        );
        assert_eq!(
            start(
                &Situation {
                    work: true,
                    last_start_ms: None,
                    ..IDLE
                },
                1000
            ),
            Start::Now
        );
    }

    #[test]
    fn catching_up_and_joining_do_not_wait() {
        assert_eq!(
            start(
                &Situation {
                    peer_height: 6,
                    ..IDLE
                },
                1000
            ),
            Start::Now
        );
        assert_eq!(
            start(
                &Situation {
                    proposed: true,
                    ..IDLE
                },
                1000
            ),
            Start::Now
        );
        assert_eq!(
            start(
                &Situation {
                    peer_height: 4,
                    ..IDLE
                },
                1000
            ),
            Start::Idle
        );
    }
}
