//! Gossip: mesh settings, peer scores, message ids and the size check of incoming messages.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use libp2p::{
    gossipsub::{
        self, DataTransform, MaxCountSubscriptionFilter, Message, MessageAuthenticity, MessageId,
        PeerScoreParams, PeerScoreThresholds, RawMessage, TopicHash, TopicScoreParams, ValidationMode,
        WhitelistSubscriptionFilter,
    },
    identity::Keypair,
};
use sha2::{Digest, Sha256};

use crate::{
    NetError, TopicConfig,
    config::{Config, DUPLICATE_MEMORY, GOSSIP_HEARTBEAT},
    metrics::{Metrics, count_topic},
};

/// What a frame carries besides the message's data: author, sequence number, topic, signature.
const FRAME_OVERHEAD: usize = 1024;
/// Smallest frame limit: lists of message ids must fit too.
const MIN_FRAME: usize = 256 << 10;
/// Most message ids that a peer may announce per heartbeat; so many fit into [`MIN_FRAME`].
const MAX_ANNOUNCED_IDS: usize = 2000;
/// Most messages in one frame.
const MAX_MESSAGES_PER_FRAME: usize = 256;
/// Messages that may wait for one slow peer.
const SEND_QUEUE: usize = 512;
/// Most subscription changes in one frame.
const MAX_SUBSCRIPTIONS_PER_FRAME: usize = 256;
/// Peers of one IP address that are not suspicious (several machines behind one router).
const PEERS_PER_IP: f64 = 10.0;

/// Score below which a peer's announcements are not listened to.
const IGNORE_GOSSIP_BELOW: f64 = -20.0;
/// Score below which own messages are not sent to a peer.
const NO_PUBLISH_BELOW: f64 = -50.0;
/// Score below which everything a peer gossips is dropped. Four rejected messages in a row lead there.
pub(crate) const GRAYLIST_BELOW: f64 = -100.0;
/// Weight of the square of rejected messages.
const REJECTED_WEIGHT: f64 = -10.0;

/// The gossip behaviour of this crate.
pub(crate) type Behaviour =
    gossipsub::Behaviour<SizeCheck, MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>>;

/// Short names and limits of topics, by wire name.
pub(crate) type Topics = Arc<HashMap<TopicHash, TopicConfig>>;

/// The topics of a configuration.
pub(crate) fn topics(config: &Config) -> Topics {
    let entry = |topic: &TopicConfig| (TopicHash::from_raw(config.topic_name(&topic.name)), topic.clone());
    Arc::new(config.topics.iter().map(entry).collect())
}

/// Refuses incoming messages that are too long or on unknown topics, before an id is computed or anything is stored.
/// Gossipsub's own check of a topic's limit drops silently; this one counts.
#[derive(Clone)]
pub(crate) struct SizeCheck {
    topics: Topics,
    metrics: Metrics,
}

impl DataTransform for SizeCheck {
    fn inbound_transform(&self, raw: RawMessage) -> Result<Message, io::Error> {
        let Some(topic) = self.topics.get(&raw.topic) else {
            self.metrics.unknown_topic.inc();
            return Err(io::Error::new(io::ErrorKind::InvalidData, "unknown topic"));
        };
        if raw.data.len() > topic.max_bytes {
            count_topic(&self.metrics.oversized, &topic.name);
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "message too long for its topic",
            ));
        }
        Ok(Message {
            source: raw.source,
            data: raw.data,
            sequence_number: raw.sequence_number,
            topic: raw.topic,
        })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> Result<Vec<u8>, io::Error> {
        Ok(data)
    }
}

/// The id of a message: SHA-256 of author, topic and data, each with its length.
///
/// The author is part of it: else a peer could sign someone's fresh message as its own, have it rejected, and so make
/// the network take the real one for a duplicate of rejected bytes.
fn message_id(message: &Message) -> MessageId {
    let author = message.source.map(|peer| peer.to_bytes()).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [
        author.as_slice(),
        message.topic.as_str().as_bytes(),
        &message.data,
    ] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    MessageId::new(&hash.finalize())
}

/// Heartbeats for which an unjudged message must stay in memory, and one to spare.
fn history(validation: Duration) -> usize {
    let heartbeats = validation.as_secs_f64() / GOSSIP_HEARTBEAT.as_secs_f64();
    heartbeats.ceil() as usize + 2
}

fn settings(config: &Config, topics: &Topics) -> Result<gossipsub::Config, NetError> {
    let largest = topics
        .values()
        .map(|topic| topic.max_bytes)
        .max()
        .unwrap_or_default();
    gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(format!("/r1/{}/meshsub", config.network))
        .heartbeat_interval(GOSSIP_HEARTBEAT)
        .heartbeat_initial_delay(GOSSIP_HEARTBEAT)
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(message_id)
        .duplicate_cache_time(DUPLICATE_MEMORY)
        .history_length(history(config.times.validation).max(5))
        .max_transmit_size((largest + FRAME_OVERHEAD).max(MIN_FRAME))
        .max_ihave_length(MAX_ANNOUNCED_IDS)
        .max_messages_per_rpc(Some(MAX_MESSAGES_PER_FRAME))
        .connection_handler_queue_len(SEND_QUEUE)
        .build()
        .map_err(|error| NetError::Setting {
            name: "gossip".into(),
            reason: error.to_string(),
        })
}

/// Scores of one topic. Parameters that punish silence (mesh deliveries) are off: our topics are quiet for seconds.
fn topic_score() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 300.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: 0.99,
        first_message_deliveries_cap: 50.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: REJECTED_WEIGHT,
        invalid_message_deliveries_decay: 0.99,
        ..TopicScoreParams::default()
    }
}

fn score_params(topics: &Topics, ban: Duration) -> PeerScoreParams {
    PeerScoreParams {
        topics: topics
            .keys()
            .map(|topic| (topic.clone(), topic_score()))
            .collect(),
        topic_score_cap: 20.0,
        app_specific_weight: 1.0,
        ip_colocation_factor_threshold: PEERS_PER_IP,
        // Whole networks run on one machine in tests and demonstrations.
        ip_colocation_factor_whitelist: HashSet::from([
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]),
        // A score does not recover while its peer is away: it must be forgotten before the ban ends, or the peer would
        // be banned again as soon as it is back.
        retain_score: ban.mul_f64(0.75),
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: 0.9,
        ..PeerScoreParams::default()
    }
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: IGNORE_GOSSIP_BELOW,
        publish_threshold: NO_PUBLISH_BELOW,
        graylist_threshold: GRAYLIST_BELOW,
        opportunistic_graft_threshold: 1.0,
        ..PeerScoreThresholds::default()
    }
}

/// The gossip behaviour, subscribed to all topics.
pub(crate) fn behaviour(
    config: &Config,
    keypair: &Keypair,
    topics: &Topics,
    metrics: &Metrics,
) -> Result<Behaviour, NetError> {
    let fault = |reason: String| NetError::Setting {
        name: "gossip".into(),
        reason,
    };
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(topics.keys().cloned().collect()),
        max_subscribed_topics: topics.len(),
        max_subscriptions_per_request: MAX_SUBSCRIPTIONS_PER_FRAME,
    };
    let check = SizeCheck {
        topics: topics.clone(),
        metrics: metrics.clone(),
    };
    let mut gossip = Behaviour::new_with_subscription_filter_and_transform(
        MessageAuthenticity::Signed(keypair.clone()),
        settings(config, topics)?,
        filter,
        check,
    )
    .map_err(|error| fault(error.into()))?;
    gossip
        .with_peer_score(score_params(topics, config.times.ban), thresholds())
        .map_err(fault)?;
    for topic in topics.keys() {
        gossip
            .subscribe(&gossipsub::IdentTopic::new(topic.as_str()))
            .map_err(|error| fault(error.to_string()))?;
    }
    Ok(gossip)
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;

    fn message(source: Option<PeerId>, topic: &str, data: &[u8], sequence: u64) -> Message {
        Message {
            source,
            data: data.to_vec(),
            sequence_number: Some(sequence),
            topic: TopicHash::from_raw(topic),
        }
    }

    #[test]
    fn the_id_depends_on_author_topic_and_data_but_not_on_the_sequence_number() {
        let (one, two) = (Some(PeerId::random()), Some(PeerId::random()));
        let id = message_id(&message(one, "t", b"x", 1));
        assert_eq!(id, message_id(&message(one, "t", b"x", 2)));
        for other in [
            message(two, "t", b"x", 1),
            message(one, "u", b"x", 1),
            message(one, "t", b"y", 1),
        ] {
            assert_ne!(id, message_id(&other));
        }
        assert_ne!(
            message_id(&message(one, "ab", b"c", 1)),
            message_id(&message(one, "a", b"bc", 1))
        );
    }

    #[test]
    fn a_message_stays_in_memory_longer_than_its_validation_may_take() {
        assert_eq!(history(Duration::from_secs(5)), 7);
        assert_eq!(history(Duration::from_millis(1)), 3);
    }

    #[test]
    fn the_scores_are_valid() {
        let topics: Topics = Arc::new(HashMap::from([(
            TopicHash::from_raw("t"),
            TopicConfig::new("t", 1),
        )]));
        score_params(&topics, Duration::from_secs(300))
            .validate()
            .unwrap();
        thresholds().validate().unwrap();
        let announced = MAX_ANNOUNCED_IDS * (32 + 2) + 128;
        assert!(announced < MIN_FRAME);
    }
}
