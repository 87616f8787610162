//! Sentences about master node deeds.

use r1_core::{EthAddress, U256};
use r1_economy::{
    Mode, Moment, NetworkParams,
    deeds::NodeId,
    message,
    mnd::{MasterClaim, MasterContext, MndRefusal},
};
use serde_json::{Value, json};

use super::{
    Outcome, World,
    actors::{OTHER, OWNER, STRANGER, USER, node, signed},
    address, number_after,
};

/// A small licence, wei.
const SMALL: u64 = 1_000_000_000_000_000_000;

fn words<T>(result: Result<T, MndRefusal>) -> Outcome {
    result.map(|_| ()).map_err(|refusal| refusal.revert())
}

fn context(params: &NetworkParams, at: Moment) -> MasterContext<'_> {
    MasterContext {
        mnd: &params.mnd,
        adoption: &params.adoption,
        link_cooldown_ms: params.nd.link_cooldown_ms,
        mode: Mode::Compat,
        at,
    }
}

impl World {
    /// A sentence about master node deeds, without the word "MND" at its beginning.
    pub(super) fn act_mnd(&mut self, action: &str) -> Result<Outcome, String> {
        if let Some(id) = number_after(action, "#") {
            self.mnd_id = id;
        }
        let (verb, rest) = action.split_once(' ').unwrap_or((action, ""));
        let id = self.mnd_id;
        let sender = self.mnd_sender(rest);
        match verb {
            "add" => return self.add(rest),
            "link" => return self.link_mnd(rest, &sender),
            "claim" => return Ok(self.claim_mnd(rest, &sender)),
            "unlink" | "transfer" | "burn" => {}
            "initiateTransfer" => {
                let to = if rest.contains("->user") { USER } else { OTHER };
                return Ok(words(self.mnd.initiate(id, to)));
            }
            "initiateBurn" => return Ok(words(self.mnd.initiate(id, node(0)))),
            _ => return Err(format!("action \"MND {action}\" is not understood")),
        }
        let context = context(&self.params, self.at);
        Ok(words(match verb {
            "unlink" => self.mnd.unlink(&context, &mut self.links, &sender, id),
            "transfer" => {
                let to = if sender == USER { OTHER } else { USER };
                self.mnd.transfer(&context, &sender, id, &to)
            }
            _ => self.mnd.burn(&context, &mut self.links, &sender, id),
        }))
    }

    fn mnd_sender(&self, rest: &str) -> EthAddress {
        let owner = self.mnd.deed(self.mnd_id).map(|deed| deed.owner);
        match owner {
            Ok(owner) if !rest.contains("by non") => owner,
            _ => STRANGER,
        }
    }

    /// `0`, `cap`, `> 2% cap`, `1 wei more to the same user`, `to GND holder`, `at epoch 223`.
    fn add(&mut self, rest: &str) -> Result<Outcome, String> {
        let cap = self.params.mnd.max_per_licence;
        let to = if rest.contains("GND holder") { OWNER } else { USER };
        let assigned = match rest.split_once(' ').map_or(rest, |(first, _)| first) {
            "cap" => cap,
            ">" => cap + U256::from(1),
            "to" | "at" => U256::from(SMALL),
            number => U256::from(
                number
                    .parse::<u64>()
                    .map_err(|_| format!("amount of {rest:?} is not understood"))?,
            ),
        };
        let added = self.mnd.add(&context(&self.params, self.at), &to, assigned);
        if let Ok(id) = added {
            self.mnd_id = id;
            self.added.insert(self.at.epoch, id);
        }
        Ok(words(added))
    }

    /// `#2 -> node1`.
    fn link_mnd(&mut self, rest: &str, sender: &EthAddress) -> Result<Outcome, String> {
        let target = match rest.split_once("-> ") {
            Some((_, to)) if to.starts_with("zero address") => 0,
            _ => number_after(rest, "-> node").ok_or_else(|| format!("{rest:?} names no node"))?,
        };
        let other = number_after(rest, "signature for node").unwrap_or(target);
        let hash = message::link(sender, &node(target)).hash();
        let signatures = signed(&message::link(sender, &node(other)));
        if let Err(refusal) = self.controller.verify(&hash, &signatures, false) {
            return Ok(Err(refusal.revert()));
        }
        let context = context(&self.params, self.at);
        Ok(words(self.mnd.link(
            &context,
            &mut self.links,
            sender,
            self.mnd_id,
            NodeId {
                address: node(target),
                name: None,
            },
        )))
    }

    /// `epochs 223..230`, with full availability; without epochs all that can be claimed.
    fn claim_mnd(&mut self, rest: &str, sender: &EthAddress) -> Outcome {
        let id = self.mnd_id;
        let deed = self.mnd.deed(id).map_err(|refusal| refusal.revert())?;
        let epochs: Vec<u64> = match number_after(rest, "epochs ").zip(number_after(rest, "..")) {
            Some((first, last)) => (first..=last).collect(),
            None => (deed.last_claim_epoch.max(deed.first_mining_epoch)..self.at.epoch).collect(),
        };
        let availabilities = vec![u8::MAX; epochs.len()];
        let linked = deed.node.unwrap_or(node(0));
        let claim = MasterClaim {
            id,
            node: if rest.contains("wrong node") {
                node(99)
            } else {
                linked
            },
            epochs: &epochs,
            availabilities: &availabilities,
        };
        let numbers: Vec<U256> = epochs.iter().map(|epoch| U256::from(*epoch)).collect();
        let message = message::claim_v1(&claim.node, &numbers, &availabilities);
        let signer = self
            .controller
            .verify(&message.hash(), &signed(&message), true)
            .map_err(|refusal| refusal.revert())?;
        let context = context(&self.params, self.at);
        words(
            self.mnd
                .claim(&context, sender, &claim, (&mut self.bank, &self.adoption), signer),
        )
    }

    /// A licence as the contract shows it: node, assigned, claimed, first mining epoch, last claim, when linked, last
    /// oracle.
    pub(super) fn master_row(&self, id: u64) -> Result<Value, String> {
        let deed = self
            .mnd
            .deeds
            .get(&id)
            .ok_or_else(|| format!("MND {id} does not exist"))?;
        Ok(json!([
            address(deed.node),
            deed.progress.assigned.to_string(),
            deed.progress.claimed.to_string(),
            deed.first_mining_epoch.to_string(),
            deed.last_claim_epoch.to_string(),
            (deed.assigned_at_ms / 1000).to_string(),
            address(deed.last_claim_oracle),
        ]))
    }

    /// First mining epoch of the licence that was added in an epoch.
    pub(super) fn first_mining(&self, epoch: u64) -> Result<Value, String> {
        let id = self
            .added
            .get(&epoch)
            .ok_or_else(|| format!("no MND was added in epoch {epoch}"))?;
        let deed = self.mnd.deed(*id).map_err(|refusal| refusal.to_string())?;
        Ok(Value::String(deed.first_mining_epoch.to_string()))
    }
}
