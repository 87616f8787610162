//! Sentences about node deeds.

use r1_core::{EthAddress, U256};
use r1_economy::{
    Mode, Moment, NdParams,
    deeds::{DeedContext, DeedRefusal, NdClaim, NodeId},
    message,
    sale::{Desk, Order, SaleRefusal},
};
use serde_json::{Value, json};

use super::{
    Outcome, World,
    actors::{OTHER, OWNER, STRANGER, USER, node, signed},
    address, number_after,
};

fn outcome(result: Result<(), DeedRefusal>) -> Outcome {
    result.map_err(|refusal| refusal.revert())
}

fn context(nd: &NdParams, at: Moment) -> DeedContext<'_> {
    DeedContext {
        nd,
        mode: Mode::Compat,
        at,
        next_epoch: 0,
    }
}

impl World {
    /// A sentence about node deeds, without the word "ND" at its beginning.
    pub(super) fn act_nd(&mut self, action: &str) -> Result<Outcome, String> {
        if let Some(id) = number_after(action, "#") {
            self.nd = id;
        }
        let (verb, rest) = action.split_once(' ').unwrap_or((action, ""));
        match verb {
            "buy" => self.buy(rest),
            "reuse" => self.buy_again(rest),
            "link" | "relink" => self.link(rest),
            "unlink" => Ok(outcome(self.unlink(rest))),
            "transfer" => Ok(outcome(self.transfer(rest))),
            "burn" => Ok(outcome(self.burn(rest))),
            "claim" => Ok(outcome(self.claim(rest))),
            "ban" | "unban" => Ok(outcome(self.ban(verb == "ban", rest))),
            "pause" | "unpause" if rest.starts_with("MND") => {
                self.mnd.status.change().paused = verb == "pause";
                Ok(Ok(()))
            }
            "pause" | "unpause" => Ok(outcome(self.pause(verb == "pause"))),
            _ => Err(format!("action {action:?} is not understood")),
        }
    }

    /// Whose deed it is; a deed that does not exist is nobody's.
    fn holder(&self) -> EthAddress {
        self.deeds.deed(self.nd).map_or(STRANGER, |deed| deed.owner)
    }

    /// `2 ND, limit 1000 USD`.
    fn buy(&mut self, rest: &str) -> Result<Outcome, String> {
        let count = rest.split(' ').next().and_then(|word| word.parse().ok());
        let (Some(count), Some(limit)) = (count, number_after(rest, "limit ")) else {
            return Err(format!("purchase {rest:?} is not understood"));
        };
        let letter = b'a' + self.orders;
        self.orders += 1;
        Ok(self.order(count, limit, letter))
    }

    /// `invoice uuid b`.
    fn buy_again(&mut self, rest: &str) -> Result<Outcome, String> {
        match rest.strip_prefix("invoice uuid ").map(str::as_bytes) {
            Some([letter, ..]) => Ok(self.order(1, u64::MAX, *letter)),
            _ => Err(format!("invoice {rest:?} is not understood")),
        }
    }

    fn order(&mut self, count: u64, limit: u64, letter: u8) -> Outcome {
        let order = Order {
            buyer: USER,
            count,
            tier: self.sale.progress.tier,
            max_price: U256::MAX,
            invoice: [letter; 32],
            usd_limit: U256::from(limit),
            vat_bp: U256::ZERO,
        };
        let message = message::buy(&USER, &order.invoice, order.usd_limit, order.vat_bp);
        let (hash, signatures) = (message.hash(), signed(&message));
        let mut desk = Desk {
            nd: &self.params.nd,
            mode: Mode::Compat,
            at: self.at,
            bank: &mut self.bank,
            exchange: &mut self.pool,
            adoption: &mut self.adoption,
        };
        let controller = &mut self.controller;
        let mut verify = || -> Result<_, SaleRefusal> { Ok(controller.verify(&hash, &signatures, false)?) };
        self.sale
            .buy(&mut desk, &mut self.deeds, &order, &mut verify)
            .map(|_| ())
            .map_err(|refusal| refusal.revert())
    }

    /// `ND#1 -> node2`, `ND#2 -> zero address`, `ND#2 -> node2 with signature for node3`; without a node the last one
    /// that was named for the deed.
    fn link(&mut self, rest: &str) -> Result<Outcome, String> {
        let target = match rest.split_once("-> ") {
            Some((_, to)) if to.starts_with("zero address") => 0,
            Some((_, to)) => number_after(to, "node").ok_or_else(|| format!("node of {rest:?}"))?,
            None => self
                .nodes
                .get(&self.nd)
                .copied()
                .ok_or_else(|| format!("{rest:?} names no node"))?,
        };
        if target != 0 {
            self.nodes.insert(self.nd, target);
        }
        let other = number_after(rest, "signature for node").unwrap_or(target);
        let sender = self.sender(rest);
        let message = message::link(&sender, &node(other));
        let expected = message::link(&sender, &node(target)).hash();
        let id = NodeId {
            address: node(target),
            name: None,
        };
        let context = context(&self.params.nd, self.at);
        let controller = &mut self.controller;
        let mut verify =
            || -> Result<_, DeedRefusal> { Ok(controller.verify(&expected, &signed(&message), false)?) };
        Ok(outcome(self.deeds.link(
            &context,
            &mut self.links,
            &sender,
            (self.nd, id),
            &mut verify,
        )))
    }

    /// Who sends what the deed's owner should send.
    fn sender(&self, rest: &str) -> EthAddress {
        if rest.contains("by non owner") || rest.contains("by non-owner") {
            STRANGER
        } else {
            self.holder()
        }
    }

    fn unlink(&mut self, rest: &str) -> Result<(), DeedRefusal> {
        let sender = self.sender(rest);
        let context = context(&self.params.nd, self.at);
        self.deeds
            .unlink(&context, &mut self.links, &sender, self.nd)
            .map(|_| ())
    }

    fn transfer(&mut self, rest: &str) -> Result<(), DeedRefusal> {
        let sender = self.sender(rest);
        let to = if self.holder() == USER { OTHER } else { USER };
        let context = context(&self.params.nd, self.at);
        self.deeds
            .transfer(&context, &mut self.links, &sender, self.nd, &to)
    }

    fn burn(&mut self, rest: &str) -> Result<(), DeedRefusal> {
        let sender = self.sender(rest);
        let context = context(&self.params.nd, self.at);
        self.deeds.burn(&context, &mut self.links, &sender, self.nd)
    }

    /// `ND#1 epochs 1..3`, with full availability; without epochs all that are over.
    fn claim(&mut self, rest: &str) -> Result<(), DeedRefusal> {
        let deed = self.deeds.deed(self.nd)?;
        let named = number_after(rest, "epochs ").zip(number_after(rest, ".."));
        let epochs: Vec<u64> = match named {
            Some((first, last)) => (first..=last).collect(),
            None => (deed.last_claim_epoch..self.at.epoch).collect(),
        };
        let linked = deed.node.unwrap_or(node(0));
        let claim = NdClaim {
            licence: self.nd,
            node: if rest.contains("wrong node") {
                node(99)
            } else {
                linked
            },
            availabilities: vec![u8::MAX; epochs.len()],
            epochs,
        };
        let sender = self.sender(rest);
        let context = context(&self.params.nd, self.at);
        let controller = &mut self.controller;
        let mut verify = |_: usize, claim: &NdClaim| -> Result<_, DeedRefusal> {
            let epochs: Vec<U256> = claim.epochs.iter().map(|epoch| U256::from(*epoch)).collect();
            let message = message::claim_v1(&claim.node, &epochs, &claim.availabilities);
            Ok(controller.verify(&message.hash(), &signed(&message), true)?)
        };
        self.deeds
            .claim_signed(&context, &mut self.bank, &sender, &[claim], &mut verify)
            .map(|_| ())
    }

    /// Only the contracts' owner may ban; the one who is not it is the user.
    fn ban(&mut self, ban: bool, rest: &str) -> Result<(), DeedRefusal> {
        let sender = if rest.contains("by non-owner") {
            USER
        } else {
            OWNER
        };
        if ban {
            self.deeds.ban(&OWNER, &sender, self.nd)
        } else {
            self.deeds.unban(&OWNER, &sender, self.nd)
        }
    }

    fn pause(&mut self, pause: bool) -> Result<(), DeedRefusal> {
        self.deeds.pause(&OWNER, &OWNER, pause)
    }

    /// A deed as the contract shows it: node, claimed, last claim, when assigned, last oracle, banned.
    pub(super) fn deed_row(&self, id: u64) -> Result<Value, String> {
        let deed = self
            .deeds
            .deeds
            .get(&id)
            .ok_or_else(|| format!("ND {id} does not exist"))?;
        Ok(json!([
            address(deed.node),
            deed.claimed.to_string(),
            deed.last_claim_epoch.to_string(),
            (deed.assigned_at_ms / 1000).to_string(),
            address(deed.last_claim_oracle),
            deed.banned,
        ]))
    }

    /// True if the node of the deed that was last spoken of is active.
    pub(super) fn is_active(&self) -> bool {
        let linked = self.deeds.deed(self.nd).ok().and_then(|deed| deed.node);
        linked.is_some_and(|node| self.deeds.is_node_active(&self.links, &node))
    }
}
