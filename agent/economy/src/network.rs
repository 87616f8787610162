//! The constants of a network in one value: what the contracts call constants, what their owner may set, and what the
//! embedded ledger starts with.

mod presets;

use r1_core::{EthAddress, Genesis, U256, wei};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::release::{fraction, mnd_release};

/// Whether the rules follow the contracts to the letter or mend their measured flaws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Bit for bit what the contracts do, flaws included.
    Compat,
    /// The measured flaws are mended. The default of the embedded ledger.
    Strict,
}

/// One step of the price of a node deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Price of one licence, whole USD.
    pub usd: u64,
    /// Licences sold at that price.
    pub units: u64,
}

/// Node deeds and their sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NdParams {
    /// Most licences.
    pub max_supply: u64,
    /// Reward of an epoch with availability 255, wei.
    #[serde(with = "wei")]
    pub reward_per_epoch: U256,
    /// Most that one licence can mint over its life, wei.
    #[serde(with = "wei")]
    pub cap: U256,
    /// Time after a link before the licence can be linked again, ms.
    pub link_cooldown_ms: u64,
    /// The price by units sold.
    pub tiers: Vec<Tier>,
    /// Share of a sale that is burned, basis points.
    pub burn_bp: u64,
    /// Share of a sale that becomes liquidity, basis points.
    pub liquidity_bp: u64,
    /// Share of a sale for the company, basis points.
    pub company_bp: u64,
    /// Share of the liquidity that is added to the pool at once, basis points; the rest is kept as USDC.
    pub direct_add_lp_bp: u64,
    /// Least part of its share in USD that the company must receive, basis points.
    pub company_floor_bp: u64,
    /// How far the price of a licence in R1 may move between sales of a tier, basis points.
    pub price_tolerance_bp: u64,
    /// From this age of the last sale on the tolerance is looked at, ms.
    pub price_tolerance_after_ms: u64,
    /// Who gets liquidity tokens and reserved USDC.
    pub lp_wallet: EthAddress,
    /// Who gets the company's share.
    pub company_wallet: EthAddress,
    /// Who gets the value added tax.
    pub vat_wallet: EthAddress,
}

/// Master node deeds. Fixed-point numbers have 18 decimals (SD59x18).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MndParams {
    /// Most licences, the genesis node deed included.
    pub max_supply: u64,
    /// Most R1 assigned to all of them, wei.
    #[serde(with = "wei")]
    pub max_assigned: U256,
    /// Most R1 assigned to one licence, and to one wallet, wei.
    #[serde(with = "wei")]
    pub max_per_licence: U256,
    /// First epoch that mines.
    pub no_mining_epochs: u64,
    /// Length of the release, epochs.
    pub mining_epochs: u64,
    /// Sum of the curve over its length, SD59x18.
    #[serde(with = "wei")]
    pub plateau: U256,
    /// Steepness of the curve, SD59x18.
    #[serde(with = "wei")]
    pub steepness: U256,
    /// Middle of the curve as a part of its length, SD59x18.
    #[serde(with = "wei")]
    pub middle: U256,
    /// How much of an epoch's release may be carried over from the withheld balance, 255 = all of it.
    pub carry_over_factor: u8,
    /// R1 of the genesis node deed, wei.
    #[serde(with = "wei")]
    pub gnd_assigned: U256,
    /// Epochs over which it is released, all alike.
    pub gnd_epochs: u64,
    /// Where its claims go: wallet and basis points.
    pub gnd_split: Vec<(EthAddress, u64)>,
}

/// When adoption counts as complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptionParams {
    /// Licences sold.
    pub licences: u64,
    /// USDC spent on jobs, micro-units.
    pub volume_usdc: u64,
}

/// Jobs and their escrow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobParams {
    /// Share of every epoch's price that is burned, percent.
    pub burn_percent: u64,
    /// Shortest job, epochs.
    pub min_epochs: u64,
    /// Time before a job that was not started can be redeemed, ms.
    pub redeem_after_ms: u64,
    /// Time between two agreed node sets of a job, ms.
    pub consensus_cooldown_ms: u64,
    /// Price per node and epoch, micro-USDC, by job type; a type without one is deprecated.
    pub prices: Vec<JobPrice>,
}

/// The price of a job type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobPrice {
    /// The type's number.
    pub id: u8,
    /// Its name.
    pub name: String,
    /// Price per node and epoch, micro-USDC; `None` if it is no longer offered.
    pub usdc: Option<u64>,
}

/// What an account owns at genesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocation {
    /// The account.
    pub account: EthAddress,
    /// R1, wei; counts as supply.
    #[serde(with = "wei")]
    pub r1: U256,
    /// USDC, micro-units.
    #[serde(with = "wei")]
    pub usdc: U256,
}

/// All constants of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkParams {
    /// The preset it was derived from: `mainnet`, `testnet`, `devnet` or `local`.
    pub preset: String,
    /// Compat or strict.
    pub mode: Mode,
    /// Chain id that every transaction carries.
    pub chain_id: u64,
    /// When epoch 0 begins, ms since 1970-01-01 UTC.
    pub epoch_start_ms: u64,
    /// Length of an epoch, ms.
    pub epoch_length_ms: u64,
    /// Who may do what the contracts reserve to their owner; the zero address is nobody.
    pub owner: EthAddress,
    /// Most R1 that may exist, wei.
    #[serde(with = "wei")]
    pub r1_cap: U256,
    /// Signatures of oracles that a compat claim needs.
    pub minimum_signatures: u8,
    /// Node deeds.
    pub nd: NdParams,
    /// Master node deeds and the genesis node deed.
    pub mnd: MndParams,
    /// Adoption.
    pub adoption: AdoptionParams,
    /// Jobs.
    pub jobs: JobParams,
    /// What accounts own at genesis.
    pub allocations: Vec<Allocation>,
    /// Reserves of the R1/USDC pool at genesis.
    pub pool: Allocation,
}

/// Why a genesis has no constants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// No such preset.
    #[error("economy: preset {0:?} is none of mainnet, testnet, devnet, local")]
    Preset(String),
    /// A field is unknown, missing or of another type.
    #[error("economy: {0}")]
    Field(String),
    /// Values that contradict each other.
    #[error("economy: {0}")]
    Contradiction(&'static str),
}

/// Lays `over` on `base`: objects field by field, anything else replaces.
fn overlay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

impl NetworkParams {
    /// The constants of a genesis: those of a preset (`local` if none is named), with what the genesis sets itself.
    /// Chain id and epochs are always the genesis' own.
    ///
    /// # Errors
    /// [`ParamsError`].
    pub fn of(genesis: &Genesis) -> Result<Self, ParamsError> {
        let over = &genesis.economy;
        let preset = over.get("preset").and_then(Value::as_str).unwrap_or("local");
        let mut params = Self::preset(preset)?;
        params.chain_id = genesis.chain_id;
        params.epoch_start_ms = genesis.epoch.genesis_ms;
        params.epoch_length_ms = genesis.epoch.length_ms;
        if preset == "local" {
            params.nd.link_cooldown_ms = genesis.epoch.length_ms;
        }
        let mut params = params.with(over)?;
        if preset == "local" {
            params.name_wallets();
        }
        Ok(params)
    }

    /// Wallets that nobody named are the owner's.
    fn name_wallets(&mut self) {
        let nobody = EthAddress::new([0; 20]);
        let nd = &mut self.nd;
        let split = self.mnd.gnd_split.iter_mut().map(|(wallet, _)| wallet);
        let wallets = [&mut nd.lp_wallet, &mut nd.company_wallet, &mut nd.vat_wallet];
        for wallet in wallets.into_iter().chain(split) {
            if *wallet == nobody {
                *wallet = self.owner;
            }
        }
    }

    /// These constants with some of them replaced.
    ///
    /// # Errors
    /// [`ParamsError`].
    pub fn with(self, over: &Map<String, Value>) -> Result<Self, ParamsError> {
        let mut value = serde_json::to_value(self).map_err(|error| ParamsError::Field(error.to_string()))?;
        overlay(&mut value, &Value::Object(over.clone()));
        let params: Self =
            serde_json::from_value(value).map_err(|error| ParamsError::Field(error.to_string()))?;
        params.check()?;
        Ok(params)
    }

    fn check(&self) -> Result<(), ParamsError> {
        let sum = |values: &[u64]| values.iter().try_fold(0u64, |sum, value| sum.checked_add(*value));
        let nd = &self.nd;
        let split: Vec<u64> = self.mnd.gnd_split.iter().map(|(_, share)| *share).collect();
        let units: Vec<u64> = nd.tiers.iter().map(|tier| tier.units).collect();
        let faults = [
            (
                sum(&[nd.burn_bp, nd.liquidity_bp, nd.company_bp]) != Some(10_000),
                "the shares of a sale are not 10000 basis points",
            ),
            (nd.direct_add_lp_bp > 10_000, "nd.direct_add_lp_bp is above 10000"),
            (
                sum(&split) != Some(10_000),
                "the split of the GND is not 10000 basis points",
            ),
            (
                sum(&units) != Some(nd.max_supply),
                "the tiers' units are not nd.max_supply",
            ),
            (
                nd.tiers.iter().any(|tier| tier.usd == 0 || tier.units == 0),
                "a tier is free or empty",
            ),
            (
                self.mnd.mining_epochs == 0 || self.mnd.gnd_epochs == 0,
                "a release of no epochs",
            ),
            (self.mnd.plateau.is_zero(), "mnd.plateau is zero"),
            (
                self.adoption.licences == 0 || self.adoption.volume_usdc == 0,
                "an adoption threshold is zero",
            ),
            (self.jobs.burn_percent > 100, "jobs.burn_percent is above 100"),
            (self.epoch_length_ms == 0, "an epoch has no length"),
            (self.minimum_signatures == 0, "minimum_signatures is zero"),
            (
                self.pool.r1.is_zero() != self.pool.usdc.is_zero(),
                "the pool has one side only",
            ),
        ];
        match faults.iter().find(|(wrong, _)| *wrong) {
            Some((_, what)) => Err(ParamsError::Contradiction(what)),
            None => self.check_curve(),
        }
    }
}

impl NetworkParams {
    /// The curve is monotonic, so what can be computed at its ends can be between them; the close of an epoch must never
    /// fail over it.
    fn check_curve(&self) -> Result<(), ParamsError> {
        let mnd = &self.mnd;
        for x in [0, mnd.mining_epochs] {
            fraction(mnd, x)
                .and_then(|part| mnd_release(mnd, mnd.max_per_licence, part))
                .map_err(|error| {
                    ParamsError::Field(format!("mnd: the curve has no value at epoch {x}: {error}"))
                })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_preset_is_sound_and_reads_back() {
        for name in NetworkParams::PRESETS {
            let params = NetworkParams::preset(name).unwrap();
            assert_eq!(params.clone().with(&Map::new()).unwrap(), params, "{name}");
            assert_eq!(params.nd.tiers.iter().map(|tier| tier.units).sum::<u64>(), 46_224);
        }
        assert!(NetworkParams::preset("main").is_err());
    }

    #[test]
    fn what_a_genesis_sets_replaces_the_preset_and_nonsense_is_refused_by_name() {
        let local = NetworkParams::preset("local").unwrap();
        let over = |value: Value| local.clone().with(value.as_object().unwrap());
        assert_eq!(
            over(json!({"nd": {"price_tolerance_bp": 7}}))
                .unwrap()
                .nd
                .price_tolerance_bp,
            7
        );
        let refused = over(json!({"nd": {"reward": "1"}})).unwrap_err().to_string();
        assert!(refused.contains("reward"), "{refused}");
        let refused = over(json!({"nd": {"burn_bp": 1}})).unwrap_err().to_string();
        assert!(refused.contains("10000"), "{refused}");
        let refused = over(json!({"mnd": {"steepness": format!("9{}", "0".repeat(40))}}));
        assert!(refused.unwrap_err().to_string().contains("curve"));
        assert!(over(json!({"r1_cap": -1})).is_err());
        assert!(over(json!({"mode": "loose"})).is_err());
    }
}
