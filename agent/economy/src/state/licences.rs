//! Licences of both kinds: link, unlink, claim, transfer, burn.

use r1_core::{EthAddress, NodeAddress, U256};
use r1_identity::PublicKey;

use super::{
    Refusal, State,
    execute::{deed_context, master_context},
};
use crate::{
    LicenceRef, Mode, Moment, Signature, SignedClaim,
    action::LinkMany,
    controller::Controller,
    deeds::{DeedRefusal, NdClaim, NodeId},
    link_consent,
    merkle::Hash,
    message,
    mnd::MasterClaim,
    signature::recover,
};

/// A node by its name, with the address that follows from it.
fn node_id(node: NodeAddress) -> Result<NodeId, Refusal> {
    let key = PublicKey::try_from(&node).map_err(|_| Refusal::Node(node))?;
    Ok(NodeId {
        address: key.eth_address(),
        name: Some(node),
    })
}

fn bytes(signatures: &[Signature]) -> Vec<Vec<u8>> {
    signatures.iter().map(|signature| signature.0.to_vec()).collect()
}

/// True if the node signed its consent to one link.
fn consents(digest: &Hash, node: &NodeAddress, consent: &Signature) -> bool {
    recover(digest, &consent.0).is_some_and(|key| key.address() == *node)
}

/// Compat: an oracle has seen that the wallet may link these nodes.
fn approved(
    controller: &mut Controller,
    digest: &Hash,
    approval: &[Signature],
) -> Result<EthAddress, DeedRefusal> {
    Ok(controller.verify(digest, &bytes(approval), false)?)
}

impl State {
    fn consent_digest(&self, owner: &EthAddress, licence: LicenceRef, node: &NodeAddress) -> Hash {
        link_consent(
            self.params.chain_id,
            owner,
            licence,
            node,
            self.link_nonce(licence),
        )
    }

    pub(super) fn link(
        &mut self,
        at: Moment,
        sender: &EthAddress,
        (licence, node): (LicenceRef, NodeAddress),
        consent: &Signature,
    ) -> Result<(), Refusal> {
        match licence {
            LicenceRef::Nd(id) => self.link_deed(at, sender, (id, node), consent),
            LicenceRef::Mnd(id) => self.link_master(at, sender, (id, node), consent),
        }
    }

    fn link_deed(
        &mut self,
        at: Moment,
        sender: &EthAddress,
        (id, name): (u64, NodeAddress),
        consent: &Signature,
    ) -> Result<(), Refusal> {
        let node = node_id(name)?;
        let strict = self.consent_digest(sender, LicenceRef::Nd(id), &name);
        let compat = message::link(sender, &node.address).hash();
        let context = deed_context(&self.params, at, *self.next_epoch);
        let controller = &mut self.controller;
        let mut agreed = || match context.mode {
            Mode::Compat => approved(controller, &compat, std::slice::from_ref(consent)),
            Mode::Strict if consents(&strict, &name, consent) => Ok(node.address),
            Mode::Strict => Err(DeedRefusal::NoConsent {
                licence: id,
                node: node.address,
            }),
        };
        Ok(self
            .deeds
            .link(&context, &mut self.links, sender, (id, node), &mut agreed)?)
    }

    fn link_master(
        &mut self,
        at: Moment,
        sender: &EthAddress,
        (id, name): (u64, NodeAddress),
        consent: &Signature,
    ) -> Result<(), Refusal> {
        let (licence, node) = (LicenceRef::Mnd(id), node_id(name)?);
        let strict = self.consent_digest(sender, licence, &name);
        if self.params.mode == Mode::Compat {
            let digest = message::link(sender, &node.address).hash();
            approved(&mut self.controller, &digest, std::slice::from_ref(consent))?;
        }
        let context = master_context(&self.params, at);
        self.masters.link(&context, &mut self.links, sender, id, node)?;
        if self.params.mode == Mode::Strict && !consents(&strict, &name, consent) {
            return Err(Refusal::NoConsent { licence, node: name });
        }
        Ok(())
    }

    /// Compat: one signature of an oracle over all nodes. Strict: each node's consent, as for a single link.
    pub(super) fn link_many(
        &mut self,
        at: Moment,
        sender: &EthAddress,
        many: &LinkMany,
    ) -> Result<(), Refusal> {
        let (left, right) = (many.licences.len(), many.nodes.len());
        if self.params.mode == Mode::Strict {
            if left != right || left != many.consents.len() {
                return Err(DeedRefusal::Mismatch { left, right }.into());
            }
            let entries = many.licences.iter().zip(&many.nodes).zip(&many.consents);
            for ((id, node), consent) in entries {
                self.link_deed(at, sender, (*id, *node), consent)?;
            }
            return Ok(());
        }
        let nodes = many
            .nodes
            .iter()
            .map(|node| node_id(*node))
            .collect::<Result<Vec<_>, _>>()?;
        let addresses: Vec<EthAddress> = nodes.iter().map(|node| node.address).collect();
        let digest = message::link_multi(sender, &addresses).hash();
        let context = deed_context(&self.params, at, *self.next_epoch);
        let controller = &mut self.controller;
        let mut agreed = || approved(controller, &digest, &many.consents);
        Ok(self.deeds.link_multi(
            &context,
            &mut self.links,
            sender,
            (&many.licences, &nodes),
            &mut agreed,
        )?)
    }

    pub(super) fn unlink(
        &mut self,
        at: Moment,
        sender: &EthAddress,
        licence: LicenceRef,
    ) -> Result<(), Refusal> {
        match licence {
            LicenceRef::Nd(id) => {
                let context = deed_context(&self.params, at, *self.next_epoch);
                self.deeds.unlink(&context, &mut self.links, sender, id)?;
            }
            LicenceRef::Mnd(id) => {
                let context = master_context(&self.params, at);
                self.masters.unlink(&context, &mut self.links, sender, id)?;
            }
        }
        Ok(())
    }

    pub(super) fn claim(
        &mut self,
        at: Moment,
        sender: &EthAddress,
        licence: LicenceRef,
    ) -> Result<U256, Refusal> {
        match licence {
            LicenceRef::Nd(id) => {
                let context = deed_context(&self.params, at, *self.next_epoch);
                Ok(self.deeds.claim_credited(&context, &mut self.bank, sender, id)?)
            }
            LicenceRef::Mnd(id) => {
                let context = master_context(&self.params, at);
                Ok(self
                    .masters
                    .claim_credited(&context, sender, id, &mut self.bank)?)
            }
        }
    }

    /// Pays claims with signed availabilities one by one; the first that is refused refuses all. Returns what was minted,
    /// wei: of the genesis node deed less than it claimed by the dust of its split.
    pub(super) fn claim_signed(
        &mut self,
        at: Moment,
        sender: &EthAddress,
        claims: &[SignedClaim],
    ) -> Result<U256, Refusal> {
        let before = self.supply();
        for claim in claims {
            self.claim_signed_one(at, sender, claim)?;
        }
        self.supply()
            .checked_sub(before)
            .ok_or(Refusal::Overflow("reward"))
    }

    fn claim_signed_one(
        &mut self,
        at: Moment,
        sender: &EthAddress,
        claim: &SignedClaim,
    ) -> Result<(), Refusal> {
        let epochs = epochs(claim)?;
        let digest = digest(claim, &epochs)?;
        let signatures = bytes(&claim.signatures);
        let controller = &mut self.controller;
        match claim.licence {
            LicenceRef::Nd(licence) => {
                let nd = NdClaim {
                    licence,
                    node: claim.node,
                    epochs,
                    availabilities: claim.availabilities.clone(),
                };
                let context = deed_context(&self.params, at, *self.next_epoch);
                let mut verify = |_: usize, _: &NdClaim| Ok(controller.verify(&digest, &signatures, true)?);
                self.deeds
                    .claim_signed(&context, &mut self.bank, sender, &[nd], &mut verify)?;
            }
            LicenceRef::Mnd(id) => {
                let oracle = controller.verify(&digest, &signatures, true)?;
                let mnd = MasterClaim {
                    id,
                    node: claim.node,
                    epochs: &epochs,
                    availabilities: &claim.availabilities,
                };
                let context = master_context(&self.params, at);
                let rooms = (&mut self.bank, &self.adoption);
                self.masters.claim(&context, sender, &mnd, rooms, oracle)?;
            }
        }
        Ok(())
    }

    pub(super) fn transfer_licence(
        &mut self,
        at: Moment,
        sender: &EthAddress,
        licence: LicenceRef,
        to: &EthAddress,
    ) -> Result<(), Refusal> {
        match licence {
            LicenceRef::Nd(id) => {
                let context = deed_context(&self.params, at, *self.next_epoch);
                self.deeds.transfer(&context, &mut self.links, sender, id, to)?;
            }
            LicenceRef::Mnd(id) => {
                let context = master_context(&self.params, at);
                self.masters.transfer(&context, sender, id, to)?;
            }
        }
        Ok(())
    }

    pub(super) fn burn_licence(
        &mut self,
        at: Moment,
        sender: &EthAddress,
        licence: LicenceRef,
    ) -> Result<(), Refusal> {
        match licence {
            LicenceRef::Nd(id) => {
                let context = deed_context(&self.params, at, *self.next_epoch);
                self.deeds.burn(&context, &mut self.links, sender, id)?;
            }
            LicenceRef::Mnd(id) => {
                let context = master_context(&self.params, at);
                self.masters.burn(&context, &mut self.links, sender, id)?;
            }
        }
        Ok(())
    }
}

/// The epochs of a claim, oldest first.
fn epochs(claim: &SignedClaim) -> Result<Vec<u64>, Refusal> {
    let count = u64::try_from(claim.availabilities.len()).map_err(|_| Refusal::Overflow("epochs"))?;
    let end = claim.first_epoch.checked_add(count);
    Ok((claim.first_epoch..end.ok_or(Refusal::Overflow("epochs"))?).collect())
}

/// What the oracles signed, by the claim's layout.
fn digest(claim: &SignedClaim, epochs: &[u64]) -> Result<Hash, Refusal> {
    let (node, values) = (&claim.node, &claim.availabilities);
    match claim.version {
        1 => {
            let epochs: Vec<U256> = epochs.iter().map(|epoch| U256::from(*epoch)).collect();
            Ok(message::claim_v1(node, &epochs, values).hash())
        }
        2 => {
            let first = U256::from(claim.first_epoch);
            let last = epochs.last().copied().unwrap_or(claim.first_epoch);
            Ok(message::claim_v2(node, first, U256::from(last), values).hash())
        }
        version => Err(Refusal::ClaimVersion {
            licence: claim.licence,
            version,
        }),
    }
}
