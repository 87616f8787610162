//! Members, and the questions that wait for them or are under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use r1_core::NodeAddress;

use super::{Effect, Keeper, Share};
use crate::{
    Cid,
    durability::{
        message::{Answer, Request},
        placement::Member,
        record::Tombstone,
    },
};

#[derive(Debug)]
struct Link {
    member: Member,
    seen_ms: u64,
    in_flight: usize,
    /// Objects to ask about: merely, and for a promise.
    questions: [BTreeSet<Cid>; 2],
    stores: VecDeque<(Cid, Option<u8>, bool)>,
    releases: VecDeque<Tombstone>,
}

#[derive(Debug)]
enum Question {
    Have(Vec<Cid>),
    Store(Cid, Option<u8>),
    Release,
}

#[derive(Debug)]
struct Asked {
    node: NodeAddress,
    until_ms: u64,
    question: Question,
}

/// All members but this node.
#[derive(Debug, Default)]
pub(super) struct Links {
    by_node: BTreeMap<NodeAddress, Link>,
    /// Members for whom something but questions waits.
    waiting: BTreeSet<NodeAddress>,
    in_flight: BTreeMap<u64, Asked>,
    next_id: u64,
}

impl Links {
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.by_node.values().map(|link| &link.member)
    }

    pub(super) fn member(&self, node: &NodeAddress) -> Option<&Member> {
        self.by_node.get(node).map(|link| &link.member)
    }

    /// A member said that it has no room for so many bytes; so it is until it announces more.
    pub(super) fn full(&mut self, node: &NodeAddress, bytes: u64) {
        if let Some(link) = self.by_node.get_mut(node) {
            link.member.free = link.member.free.min(bytes.saturating_sub(1));
        }
    }

    /// Asks a member about an object with the next batch.
    pub(super) fn question(&mut self, node: &NodeAddress, root: Cid, promise: bool) {
        if let Some(link) = self.by_node.get_mut(node) {
            link.questions[usize::from(promise)].insert(root);
        }
    }

    pub(super) fn store(&mut self, (node, piece): Share, root: Cid, inline: bool, most: usize) {
        if let Some(link) = self.by_node.get_mut(&node)
            && link.stores.len() < most
        {
            link.stores.push_back((root, piece, inline));
            self.waiting.insert(node);
        }
    }

    pub(super) fn release(&mut self, node: &NodeAddress, tombstone: Tombstone, most: usize) {
        if let Some(link) = self.by_node.get_mut(node)
            && link.releases.len() < most
        {
            link.releases.push_back(tombstone);
            self.waiting.insert(*node);
        }
    }

    fn send(&mut self, node: NodeAddress, question: Question, until_ms: u64) -> u64 {
        self.next_id += 1;
        self.in_flight.insert(
            self.next_id,
            Asked {
                node,
                until_ms,
                question,
            },
        );
        self.next_id
    }
}

impl Keeper {
    pub(super) fn member_seen(&mut self, member: Member) {
        if member.node == self.own.node {
            return;
        }
        let seen_ms = self.now_ms;
        let link = self.links.by_node.entry(member.node).or_insert_with(|| Link {
            member: member.clone(),
            seen_ms,
            in_flight: 0,
            questions: Default::default(),
            stores: VecDeque::new(),
            releases: VecDeque::new(),
        });
        link.member = member;
        link.seen_ms = seen_ms;
    }

    /// Forgets a member; what it held is checked at once.
    pub(super) fn member_lost(&mut self, node: NodeAddress) {
        if self.links.by_node.remove(&node).is_none() {
            return;
        }
        self.links.waiting.remove(&node);
        self.links.in_flight.retain(|_, asked| asked.node != node);
        let now_ms = self.now_ms;
        let mut due = Vec::new();
        for (root, kept) in &self.kept {
            if kept.holders.contains(&node) && kept.due_ms > now_ms {
                due.push(*root);
            }
        }
        for root in due {
            self.schedule_at(root, now_ms);
        }
        for root in self.jobs_with(&node) {
            self.job_lost(root, &node);
        }
    }

    /// Finds members that are silent and questions without an answer.
    pub(super) fn links_tick(&mut self) {
        let now_ms = self.now_ms;
        let timeout_ms = self.config.member_timeout_ms;
        let lost: Vec<_> = self
            .links
            .by_node
            .iter()
            .filter(|(_, link)| link.seen_ms + timeout_ms < now_ms)
            .map(|(node, _)| *node)
            .collect();
        for node in lost {
            self.member_lost(node);
        }
        // All wait equally long, so the first numbers end first.
        while let Some((&id, asked)) = self.links.in_flight.first_key_value()
            && asked.until_ms <= now_ms
        {
            self.unanswered(id, "no answer in time");
        }
    }

    /// Sends what may not wait for the next tick.
    pub(super) fn send_waiting(&mut self) {
        let until_ms = self.now_ms + self.config.ask_timeout_ms;
        let nodes: Vec<_> = self.links.waiting.iter().copied().collect();
        for node in nodes {
            while let Some((question, request, inline)) = self.next_waiting(node) {
                self.send(node, question, request, inline, until_ms);
            }
        }
    }

    /// What is to be sent to a member next, if it may be.
    fn next_waiting(&mut self, node: NodeAddress) -> Option<(Question, Request, bool)> {
        let link = self.links.by_node.get_mut(&node)?;
        if link.in_flight >= self.config.asks_per_member {
            return None;
        }
        if let Some(tombstone) = link.releases.pop_front() {
            return Some((Question::Release, Request::Release { tombstone }, false));
        }
        while let Some((root, piece, inline)) = link.stores.pop_front() {
            // It may have ended meanwhile.
            let wanted = self.jobs.get(&root).is_some_and(|job| job.stores(&(node, piece)));
            if let Some(kept) = self.kept.get(&root).filter(|_| wanted) {
                let request = Request::Store {
                    record: kept.record.clone(),
                    piece,
                    car: None,
                };
                return Some((Question::Store(root, piece), request, inline));
            }
        }
        self.links.waiting.remove(&node);
        None
    }

    /// Sends the questions that were collected, in batches.
    pub(super) fn send_questions(&mut self) {
        let (most, asks) = (self.config.question_roots(), self.config.asks_per_member);
        let until_ms = self.now_ms + self.config.ask_timeout_ms;
        let nodes: Vec<_> = self.links.by_node.keys().copied().collect();
        for (node, promise) in nodes.into_iter().flat_map(|node| [(node, true), (node, false)]) {
            while let Some(link) = self.links.by_node.get_mut(&node)
                && let questions = &mut link.questions[usize::from(promise)]
                && !questions.is_empty()
                && link.in_flight < asks
            {
                let rest = questions.iter().nth(most).copied();
                let later = rest.map(|rest| questions.split_off(&rest)).unwrap_or_default();
                let roots: Vec<_> = std::mem::replace(questions, later).into_iter().collect();
                let request = Request::Have {
                    roots: roots.clone(),
                    promise,
                };
                self.send(node, Question::Have(roots), request, false, until_ms);
            }
        }
    }

    fn send(&mut self, node: NodeAddress, question: Question, request: Request, inline: bool, until_ms: u64) {
        let id = self.links.send(node, question, until_ms);
        if let Some(link) = self.links.by_node.get_mut(&node) {
            link.in_flight += 1;
        }
        self.figures.asked += 1;
        self.effects.push(Effect::Ask {
            id,
            node,
            request,
            inline,
        });
    }

    fn take_asked(&mut self, id: u64) -> Option<Asked> {
        let asked = self.links.in_flight.remove(&id)?;
        if let Some(link) = self.links.by_node.get_mut(&asked.node) {
            link.in_flight = link.in_flight.saturating_sub(1);
        }
        Some(asked)
    }

    pub(super) fn answered(&mut self, id: u64, answer: Answer) {
        let Some(Asked { node, question, .. }) = self.take_asked(id) else {
            return;
        };
        match (question, answer) {
            (Question::Have(roots), Answer::Holdings { held, tombstones }) if held.len() == roots.len() => {
                for tombstone in tombstones {
                    if roots.contains(&tombstone.root) {
                        self.honour(tombstone);
                    }
                }
                for (root, holding) in roots.into_iter().zip(held) {
                    self.job_heard(root, node, holding);
                }
            }
            (Question::Have(roots), _) => {
                for root in roots {
                    self.job_unheard(root, node, "answered something else");
                }
            }
            (Question::Store(root, piece), answer) => self.job_stored(root, (node, piece), answer),
            (Question::Release, _) => {}
        }
    }

    pub(super) fn unanswered(&mut self, id: u64, reason: &str) {
        let Some(Asked { node, question, .. }) = self.take_asked(id) else {
            return;
        };
        self.figures.unanswered += 1;
        match question {
            Question::Have(roots) => {
                for root in roots {
                    self.job_unheard(root, node, reason);
                }
            }
            Question::Store(root, piece) => self.job_unstored(root, (node, piece), reason),
            // Whoever did not hear it learns it when it asks.
            Question::Release => {}
        }
    }
}
