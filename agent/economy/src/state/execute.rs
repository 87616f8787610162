//! Which room an action is for.

use r1_core::{EthAddress, U256};

use super::{Effect, Refusal, State, jobs::Rooms};
use crate::{
    Action, Mode, Moment, NetworkParams,
    action::{OwnerAction, Purchase},
    bank::holder,
    deeds::{DeedContext, NOBODY},
    message,
    mnd::MasterContext,
    poai::{PoaiContext, Registry},
    pool::{Amounts, Exchange as _},
    sale::{Desk, Order},
};

pub(super) fn deed_context(params: &NetworkParams, at: Moment, next_epoch: u64) -> DeedContext<'_> {
    DeedContext {
        nd: &params.nd,
        mode: params.mode,
        at,
        next_epoch,
    }
}

pub(super) fn master_context(params: &NetworkParams, at: Moment) -> MasterContext<'_> {
    MasterContext {
        mnd: &params.mnd,
        adoption: &params.adoption,
        link_cooldown_ms: params.nd.link_cooldown_ms,
        mode: params.mode,
        at,
    }
}

pub(super) fn poai_context<'a>(
    params: &'a NetworkParams,
    at: Moment,
    registry: &'a dyn Registry,
) -> PoaiContext<'a> {
    PoaiContext {
        jobs: &params.jobs,
        mode: params.mode,
        at,
        registry,
    }
}

impl State {
    /// Strict: refuses what would change nothing but the nonce, so that nobody fills blocks for nothing.
    fn not_idle(&self, action: &Action, idle: bool) -> Result<(), Refusal> {
        if idle && self.params.mode == Mode::Strict {
            Err(Refusal::Nothing(action.name()))
        } else {
            Ok(())
        }
    }

    fn only(&self, mode: Mode, action: &Action) -> Result<(), Refusal> {
        if self.params.mode == mode {
            Ok(())
        } else {
            Err(Refusal::Mode {
                action: action.name(),
                mode: self.params.mode,
            })
        }
    }

    pub(super) fn execute(
        &mut self,
        at: Moment,
        sender: &EthAddress,
        action: &Action,
    ) -> Result<Effect, Refusal> {
        match action {
            Action::Link {
                licence,
                node,
                consent,
            } => self.link(at, sender, (*licence, *node), consent)?,
            Action::LinkMany(many) => {
                self.not_idle(action, many.licences.is_empty())?;
                self.link_many(at, sender, many)?;
            }
            Action::Unlink { licence } => self.unlink(at, sender, *licence)?,
            Action::Claim { licence } => {
                self.only(Mode::Strict, action)?;
                return self.claim(at, sender, *licence).map(Effect::Minted);
            }
            Action::ClaimSigned(claims) => {
                self.only(Mode::Compat, action)?;
                return self.claim_signed(at, sender, claims).map(Effect::Minted);
            }
            Action::TransferLicence { licence, to } => self.transfer_licence(at, sender, *licence, to)?,
            Action::BurnLicence { licence } => self.burn_licence(at, sender, *licence)?,
            Action::Owner(owner_action) => return self.execute_owner(at, sender, owner_action),
            _ => return self.execute_money(at, sender, action),
        }
        Ok(Effect::Done)
    }

    fn execute_money(&mut self, at: Moment, sender: &EthAddress, action: &Action) -> Result<Effect, Refusal> {
        match action {
            Action::Buy(purchase) => return self.buy(at, sender, purchase),
            Action::Transfer { asset, to, amount } => {
                self.not_idle(action, amount.is_zero())?;
                self.receiver(to)?;
                self.bank.transfer(*asset, sender, to, *amount)?;
            }
            Action::Burn { amount, app } => {
                self.gratitude
                    .burn(&mut self.bank, sender, *amount, app.as_deref())?;
            }
            Action::Swap {
                asset,
                amount,
                min_out,
            } => {
                let paid = (*asset, *amount);
                let out = self.pool.swap(&mut self.bank, sender, paid, *min_out, sender)?;
                return Ok(Effect::Swapped(out));
            }
            Action::AddLiquidity {
                r1,
                usdc,
                min_r1,
                min_usdc,
            } => {
                let (desired, min) = (amounts(r1, usdc), amounts(min_r1, min_usdc));
                let provided = self
                    .pool
                    .add_liquidity(&mut self.bank, sender, desired, min, sender)?;
                return Ok(Effect::Provided(provided));
            }
            Action::RemoveLiquidity {
                shares,
                min_r1,
                min_usdc,
            } => {
                let min = amounts(min_r1, min_usdc);
                let out = self
                    .pool
                    .remove_liquidity(&mut self.bank, sender, *shares, min, sender)?;
                return Ok(Effect::Withdrawn(out));
            }
            _ => return self.execute_job(at, sender, action),
        }
        Ok(Effect::Done)
    }

    /// Nobody and the accounts of the rules cannot be paid: what they hold is what the rules gave them.
    fn receiver(&self, to: &EthAddress) -> Result<(), Refusal> {
        let refused = *to == NOBODY || (self.params.mode == Mode::Strict && holder::ALL.contains(to));
        if refused {
            return Err(Refusal::Receiver(*to));
        }
        Ok(())
    }

    fn buy(&mut self, at: Moment, sender: &EthAddress, purchase: &Purchase) -> Result<Effect, Refusal> {
        let nonce = self.nonce(sender);
        let params = &self.params;
        let compat = message::buy(sender, &purchase.invoice, purchase.usd_limit, purchase.vat_bp);
        let digest = match params.mode {
            Mode::Compat => compat.hash(),
            Mode::Strict => message::buy_strict(params.chain_id, nonce, &compat).hash(),
        };
        let order = Order {
            buyer: *sender,
            count: purchase.count,
            tier: purchase.tier,
            max_price: purchase.max_price,
            invoice: purchase.invoice,
            usd_limit: purchase.usd_limit,
            vat_bp: purchase.vat_bp,
        };
        let mut desk = Desk {
            nd: &params.nd,
            mode: params.mode,
            at,
            bank: &mut self.bank,
            exchange: &mut self.pool,
            adoption: &mut self.adoption,
        };
        let controller = &mut self.controller;
        let approval = [purchase.approval.0.to_vec()];
        let mut verify = || Ok(controller.verify(&digest, &approval, false)?);
        let bought = self.sale.buy(&mut desk, &mut self.deeds, &order, &mut verify)?;
        Ok(Effect::Bought(Box::new(bought)))
    }

    fn execute_job(&mut self, at: Moment, sender: &EthAddress, action: &Action) -> Result<Effect, Refusal> {
        let strict = self.params.mode == Mode::Strict;
        let registry = Rooms {
            controller: &self.controller,
            deeds: &self.deeds,
            masters: &self.masters,
            links: &self.links,
        };
        let context = poai_context(&self.params, at, &registry);
        let (poai, bank, pool, adoption) =
            (&mut self.poai, &mut self.bank, &mut self.pool, &mut self.adoption);
        Ok(match action {
            Action::DeployEscrow => poai.deploy(&context, sender).map(|()| Effect::Done)?,
            Action::Delegate {
                delegate,
                permissions,
            } => poai
                .delegate(sender, delegate, *permissions)
                .map(|()| Effect::Done)?,
            Action::CreateJobs(requests) => {
                if strict && requests.is_empty() {
                    return Err(Refusal::Nothing(action.name()));
                }
                let escrow = poai.escrow_of(sender).ok_or(Refusal::NoEscrow(*sender))?;
                Effect::Created(poai.create_jobs(&context, sender, &escrow, requests, bank)?)
            }
            Action::ExtendDuration {
                job,
                last_execution_epoch: last,
            } => Effect::Cost(poai.extend_duration(&context, sender, *job, *last, bank)?),
            Action::ExtendNodes { job, nodes } => {
                Effect::Cost(poai.extend_nodes(&context, sender, *job, *nodes, bank)?)
            }
            Action::Redeem { job } => Effect::Refunded(poai.redeem(&context, sender, *job, bank)?),
            Action::SubmitNodes { job, nodes } => {
                let rooms = (bank, pool as &mut dyn crate::pool::Exchange, adoption);
                Effect::Agreed(poai.submit(&context, sender, (*job, nodes), rooms)?)
            }
            Action::Allocate { escrow } => {
                let all = poai.allocate(&context, escrow, bank, pool, adoption)?;
                if strict && all.gross().is_zero() {
                    return Err(Refusal::Nothing(action.name()));
                }
                Effect::Allocated(all)
            }
            Action::ClaimJobs { nodes, min_out } => {
                let (usdc, r1) = poai.claim(&context, sender, (nodes, *min_out), bank, pool)?;
                if strict && usdc.is_zero() {
                    return Err(Refusal::Nothing(action.name()));
                }
                Effect::Paid { usdc, r1 }
            }
            // The other rooms took all other actions before.
            _ => return Err(Refusal::Nothing(action.name())),
        })
    }

    fn execute_owner(
        &mut self,
        at: Moment,
        sender: &EthAddress,
        action: &OwnerAction,
    ) -> Result<Effect, Refusal> {
        let owner = self.params.owner;
        if owner == NOBODY || *sender != owner {
            return Err(Refusal::NotContractOwner(*sender));
        }
        match action {
            OwnerAction::AddMnd { owner, assigned } => {
                let context = master_context(&self.params, at);
                let id = self.masters.add(&context, owner, *assigned)?;
                return Ok(Effect::Made(crate::LicenceRef::Mnd(id)));
            }
            OwnerAction::InitiateMnd { id, receiver } => self.masters.initiate(*id, *receiver)?,
            OwnerAction::Ban { licence } => self.deeds.ban(&owner, sender, *licence)?,
            OwnerAction::Unban { licence } => self.deeds.unban(&owner, sender, *licence)?,
            OwnerAction::PauseDeeds { paused } => self.deeds.pause(&owner, sender, *paused)?,
            OwnerAction::PauseMasters { paused } => self.masters.pause(*paused)?,
            OwnerAction::IssueUsdc { to, amount } => {
                self.receiver(to)?;
                self.bank.issue_usdc(to, *amount)?;
            }
        }
        Ok(Effect::Done)
    }
}

fn amounts(r1: &U256, usdc: &U256) -> Amounts {
    Amounts { r1: *r1, usdc: *usdc }
}
