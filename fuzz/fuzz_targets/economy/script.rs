//! What a sequence of bytes says: mode and beginning, then steps of six bytes each, so that a mutation of one step leaves the
//! others as they are.

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use r1_economy::Mode;

/// Steps of one sequence that are run: a failure in fewer is easier to read, and every input ends soon.
const MAX_STEPS: usize = 96;
/// Longest action of arbitrary bytes.
const MAX_ANY: u8 = 80;

/// What happens in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Time goes on; mostly the epochs that are over are closed.
    Wait,
    /// The next epoch is closed, or another one is tried.
    Close,
    /// The next steps are one block.
    Block,
    /// The next steps are run and taken back.
    Trial,
    /// The state is stored and read again.
    Restart,
    Link,
    LinkMany,
    Unlink,
    Claim,
    ClaimSigned,
    TransferLicence,
    BurnLicence,
    Buy,
    Transfer,
    Burn,
    Swap,
    AddLiquidity,
    RemoveLiquidity,
    DeployEscrow,
    Delegate,
    CreateJobs,
    ExtendDuration,
    ExtendNodes,
    Redeem,
    SubmitNodes,
    Allocate,
    ClaimJobs,
    AddMnd,
    InitiateMnd,
    Ban,
    Unban,
    PauseDeeds,
    PauseMasters,
    IssueUsdc,
    /// Whatever the bytes decode to.
    Any,
}

/// How often each kind is drawn, of all together.
const WEIGHTS: [(Kind, u8); 35] = [
    (Kind::Wait, 22),
    (Kind::Close, 3),
    (Kind::Block, 4),
    (Kind::Trial, 3),
    (Kind::Restart, 2),
    (Kind::Link, 22),
    (Kind::LinkMany, 6),
    (Kind::Unlink, 5),
    (Kind::Claim, 10),
    (Kind::ClaimSigned, 12),
    (Kind::TransferLicence, 5),
    (Kind::BurnLicence, 4),
    (Kind::Buy, 10),
    (Kind::Transfer, 5),
    (Kind::Burn, 4),
    (Kind::Swap, 6),
    (Kind::AddLiquidity, 4),
    (Kind::RemoveLiquidity, 4),
    (Kind::DeployEscrow, 10),
    (Kind::Delegate, 6),
    (Kind::CreateJobs, 14),
    (Kind::ExtendDuration, 5),
    (Kind::ExtendNodes, 5),
    (Kind::Redeem, 4),
    (Kind::SubmitNodes, 30),
    (Kind::Allocate, 6),
    (Kind::ClaimJobs, 6),
    (Kind::AddMnd, 6),
    (Kind::InitiateMnd, 6),
    (Kind::Ban, 3),
    (Kind::Unban, 3),
    (Kind::PauseDeeds, 3),
    (Kind::PauseMasters, 3),
    (Kind::IssueUsdc, 4),
    (Kind::Any, 6),
];

impl Kind {
    fn of(mut byte: u8) -> Self {
        for (kind, weight) in WEIGHTS {
            match byte.checked_sub(weight) {
                Some(rest) => byte = rest,
                None => return kind,
            }
        }
        Self::Wait
    }
}

/// One step. What the numbers mean is the kind's; what they name is looked up in the state, so that most steps fit it.
#[derive(Debug, Clone)]
pub struct Step {
    pub kind: Kind,
    /// Who acts, where it is not for the state to say.
    pub who: u8,
    pub a: u8,
    pub b: u8,
    pub c: u8,
    /// What is done wrongly, mostly nothing.
    pub slip: u8,
    /// The action of [`Kind::Any`].
    pub bytes: Vec<u8>,
}

impl Step {
    fn read(u: &mut Unstructured<'_>) -> Result<Self> {
        let [kind, who, a, b, c, slip] = u.arbitrary()?;
        let kind = Kind::of(kind);
        let bytes = if kind == Kind::Any {
            let length = usize::from(c % MAX_ANY).min(u.len());
            u.bytes(length)?.to_vec()
        } else {
            Vec::new()
        };
        Ok(Self {
            kind,
            who,
            a,
            b,
            c,
            slip,
            bytes,
        })
    }

    /// What is done wrongly, in one of eight ways; mostly nothing.
    pub fn fault(&self) -> Option<u8> {
        (self.slip >= 200).then_some(self.slip % 8)
    }
}

/// A mode, where it begins and what happens in it.
#[derive(Debug, Clone)]
pub struct Script {
    pub mode: Mode,
    /// True to begin at the genesis, false where some things have happened already.
    pub fresh: bool,
    pub steps: Vec<Step>,
}

impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let first: u8 = u.arbitrary()?;
        let mode = if first & 1 == 0 {
            Mode::Strict
        } else {
            Mode::Compat
        };
        let fresh = first & 6 == 0;
        let mut steps = Vec::new();
        while steps.len() < MAX_STEPS && !u.is_empty() {
            steps.push(Step::read(u)?);
        }
        Ok(Self { mode, fresh, steps })
    }
}
