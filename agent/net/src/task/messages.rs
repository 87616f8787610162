//! Gossip and requests, in and out.

use std::time::Instant;

use libp2p::{
    PeerId,
    gossipsub::{self, MessageAcceptance, MessageId, PublishError, TopicHash},
    request_response::{self, OutboundFailure, ResponseChannel},
};
use tokio::sync::mpsc;

use super::{Answered, Asked, Judged, Task, addressee};
use crate::{
    Acceptance, Event, GossipMessage, NetError, Refusal, Reply, Request, Verdict,
    config::{MAX_PENDING_REPLIES, MAX_PENDING_REQUESTS, MAX_PENDING_VERDICTS},
    metrics::{Direction, count_protocol, count_topic},
    peer::node_address,
    request::{Request as Received, Response},
};

/// Score that a neighbour loses per message beyond its rate.
const RATE_PENALTY: f64 = 1.0;
/// Most that rate-limit hits may cost: enough to be avoided, not enough to be banned for relaying a busy network alone.
const MAX_PENALTY: f64 = 90.0;
/// What is left of a penalty after each housekeeping.
const FORGIVENESS: f64 = 0.97;
/// Penalties below this are forgotten.
const FORGOTTEN_PENALTY: f64 = 0.5;
/// What metrics call a protocol that this node does not serve.
const UNKNOWN: &str = "unknown";

impl Task {
    pub(super) fn publish(&mut self, name: &str, data: Vec<u8>) -> Result<(), NetError> {
        let topic = || name.to_owned();
        let hash = TopicHash::from_raw(self.config.topic_name(name));
        let Some(known) = self.topics.get(&hash) else {
            return Err(NetError::UnknownTopic { topic: topic() });
        };
        let (size, limit) = (data.len(), known.max_bytes);
        if size > limit {
            count_topic(&self.metrics.oversized, name);
            return Err(NetError::MessageTooLarge {
                topic: topic(),
                size,
                limit,
            });
        }
        match self.swarm.behaviour_mut().gossip.publish(hash, data) {
            Ok(_) => {
                count_topic(&self.metrics.published, name);
                self.metrics.payload(Direction::Out, size);
                Ok(())
            }
            Err(PublishError::NoPeersSubscribedToTopic) => Err(NetError::NoPeers { topic: topic() }),
            Err(PublishError::Duplicate) => Err(NetError::Duplicate { topic: topic() }),
            Err(PublishError::AllQueuesFull(_)) => Err(NetError::Congested { topic: topic() }),
            Err(PublishError::MessageTooLarge) => Err(NetError::MessageTooLarge {
                topic: topic(),
                size,
                limit,
            }),
            Err(error @ (PublishError::SigningError(_) | PublishError::TransformFailed(_))) => {
                Err(NetError::Setting {
                    name: format!("topic {name:?}"),
                    reason: error.to_string(),
                })
            }
        }
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                self.on_message(propagation_source, message_id, message);
            }
            gossipsub::Event::SlowPeer {
                peer_id,
                failed_messages,
            } => {
                tracing::debug!(peer = %peer_id, dropped = failed_messages.total(), "peer is slow");
            }
            _ => {}
        }
    }

    fn on_message(&mut self, from: PeerId, id: MessageId, message: gossipsub::Message) {
        let Some(topic) = self.topics.get(&message.topic).map(|topic| topic.name.clone()) else {
            self.judge(&id, &from, Acceptance::Ignore);
            return;
        };
        self.metrics.payload(Direction::In, message.data.len());
        let Some(source) = message.source.as_ref().and_then(node_address) else {
            count_topic(&self.metrics.rejected, &topic);
            self.judge(&id, &from, Acceptance::Reject);
            return;
        };
        let now = Instant::now();
        if !self.neighbours.allow(from, now) {
            self.penalise(from);
            count_topic(&self.metrics.rate_limited, &topic);
            self.judge(&id, &from, Acceptance::Ignore);
            return;
        }
        if !self.authors.allow(source, now) {
            count_topic(&self.metrics.rate_limited, &topic);
            self.judge(&id, &from, Acceptance::Ignore);
            return;
        }
        let (verdict, judged) = Verdict::new();
        let event = Event::Gossip(GossipMessage {
            topic: topic.clone(),
            source,
            data: message.data,
            verdict,
        });
        if self.verdicts.len() >= MAX_PENDING_VERDICTS || self.events.try_send(event).is_err() {
            count_topic(&self.metrics.dropped, &topic);
            count_topic(&self.metrics.ignored, &topic);
            self.judge(&id, &from, Acceptance::Ignore);
            return;
        }
        let patience = self.config.times.validation;
        self.verdicts.push(Box::pin(async move {
            let acceptance = tokio::time::timeout(patience, judged)
                .await
                .ok()
                .and_then(Result::ok);
            Judged {
                id,
                from,
                topic,
                acceptance,
            }
        }));
    }

    pub(super) fn on_judged(&mut self, judged: Judged) {
        let acceptance = judged.acceptance.unwrap_or(Acceptance::Ignore);
        let family = match acceptance {
            Acceptance::Accept => &self.metrics.accepted,
            Acceptance::Reject => &self.metrics.rejected,
            Acceptance::Ignore => &self.metrics.ignored,
        };
        count_topic(family, &judged.topic);
        self.judge(&judged.id, &judged.from, acceptance);
    }

    /// Gossipsub forwards nothing and keeps the message until it is told.
    fn judge(&mut self, id: &MessageId, from: &PeerId, acceptance: Acceptance) {
        let acceptance = match acceptance {
            Acceptance::Accept => MessageAcceptance::Accept,
            Acceptance::Reject => MessageAcceptance::Reject,
            Acceptance::Ignore => MessageAcceptance::Ignore,
        };
        self.swarm
            .behaviour_mut()
            .gossip
            .report_message_validation_result(id, from, acceptance);
    }

    /// A neighbour went beyond its rate.
    fn penalise(&mut self, peer: PeerId) {
        let penalty = self.penalties.entry(peer).or_default();
        *penalty = (*penalty + RATE_PENALTY).min(MAX_PENALTY);
        let score = -*penalty;
        self.swarm
            .behaviour_mut()
            .gossip
            .set_application_score(&peer, score);
    }

    /// Lets penalties fade.
    pub(super) fn forgive(&mut self) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        self.penalties.retain(|peer, penalty| {
            *penalty *= FORGIVENESS;
            let kept = *penalty >= FORGOTTEN_PENALTY;
            gossip.set_application_score(peer, if kept { -*penalty } else { 0.0 });
            kept
        });
    }

    pub(super) fn ask(&mut self, asked: Asked, body: Vec<u8>) {
        let peer = asked.peer;
        if Some(peer) == self.own_address() {
            let reason = "it is this node itself".to_owned();
            let error = NetError::Unreachable {
                peer,
                protocol: asked.protocol,
                reason,
            };
            let _ = asked.done.send(Err(error));
            return;
        }
        if self.asked.len() >= MAX_PENDING_REQUESTS {
            let _ = asked.done.send(Err(NetError::TooManyRequests {
                peer,
                limit: MAX_PENDING_REQUESTS,
            }));
            return;
        }
        count_protocol(&self.metrics.requests_out, &asked.protocol);
        self.metrics.payload(Direction::Out, body.len());
        let request = Received::Sound {
            protocol: asked.protocol.clone(),
            body,
        };
        let id = self
            .swarm
            .behaviour_mut()
            .request
            .send_request(&addressee(&asked), request);
        self.asked.insert(id, asked);
    }

    pub(super) fn on_request(&mut self, event: request_response::Event<Received, Response>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request, channel, .. } => {
                    self.on_asked(peer, request, channel);
                }
                request_response::Message::Response { request_id, response } => {
                    if let Some(asked) = self.asked.remove(&request_id) {
                        self.on_response(asked, response);
                    }
                }
            },
            request_response::Event::OutboundFailure {
                request_id, error, ..
            } => {
                if let Some(asked) = self.asked.remove(&request_id) {
                    self.on_failure(asked, &error);
                }
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "request of a peer failed");
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    fn on_asked(&mut self, from: PeerId, request: Received, channel: ResponseChannel<Response>) {
        let (protocol, body) = match request {
            Received::Sound { protocol, body } => (protocol, body),
            Received::Unfit { protocol, refusal } => {
                return self.refuse(protocol.as_deref().unwrap_or(UNKNOWN), channel, refusal);
            }
        };
        let (Some(peer), Some(limits)) = (node_address(&from), self.protocols.get(&protocol)) else {
            return self.refuse(UNKNOWN, channel, Refusal::UnknownProtocol);
        };
        if !self.requesters.allow(from, Instant::now()) {
            self.metrics.requests_rate_limited.inc();
            return self.refuse(&protocol, channel, Refusal::Busy);
        }
        if self.replies.len() >= MAX_PENDING_REPLIES {
            return self.refuse(&protocol, channel, Refusal::Busy);
        }
        self.metrics.payload(Direction::In, body.len());
        let (reply, answered) = Reply::new(protocol.clone(), limits.max_response);
        let event = Event::Request(Request {
            peer,
            protocol: protocol.clone(),
            data: body,
            reply,
        });
        if let Err(mpsc::error::TrySendError::Full(_) | mpsc::error::TrySendError::Closed(_)) =
            self.events.try_send(event)
        {
            return self.refuse(&protocol, channel, Refusal::Busy);
        }
        count_protocol(&self.metrics.requests_in, &protocol);
        let patience = self.config.times.request;
        self.replies.push(Box::pin(async move {
            let response = match tokio::time::timeout(patience, answered).await {
                Ok(Ok(response)) => response,
                Ok(Err(_)) | Err(_) => Err(Refusal::Application),
            };
            Answered {
                protocol,
                channel,
                response,
            }
        }));
    }

    pub(super) fn on_answered(&mut self, answered: Answered) {
        let Answered {
            protocol,
            channel,
            response,
        } = answered;
        match response {
            Ok(body) => {
                self.metrics.payload(Direction::Out, body.len());
                self.send_response(channel, Ok(body));
            }
            Err(refusal) => self.refuse(&protocol, channel, refusal),
        }
    }

    fn refuse(&mut self, protocol: &str, channel: ResponseChannel<Response>, refusal: Refusal) {
        count_protocol(&self.metrics.requests_refused, protocol);
        self.send_response(channel, Err(refusal));
    }

    fn send_response(&mut self, channel: ResponseChannel<Response>, response: Response) {
        // An error means that the asker has gone or its time is over: nobody is left to tell.
        let _ = self
            .swarm
            .behaviour_mut()
            .request
            .send_response(channel, response);
    }

    fn on_response(&mut self, asked: Asked, response: Response) {
        let Asked { peer, protocol, done } = asked;
        let result = match response {
            Ok(body) => {
                self.metrics.payload(Direction::In, body.len());
                Ok(body)
            }
            Err(refusal) => {
                count_protocol(&self.metrics.requests_failed, &protocol);
                Err(NetError::Refused {
                    peer,
                    protocol,
                    refusal,
                })
            }
        };
        let _ = done.send(result);
    }

    fn on_failure(&mut self, asked: Asked, failure: &OutboundFailure) {
        let Asked { peer, protocol, done } = asked;
        count_protocol(&self.metrics.requests_failed, &protocol);
        let error = match failure {
            OutboundFailure::Timeout => NetError::Timeout { peer, protocol },
            other => NetError::Unreachable {
                peer,
                protocol,
                reason: other.to_string(),
            },
        };
        let _ = done.send(Err(error));
    }
}
