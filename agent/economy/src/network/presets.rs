//! The constants of Ratio1's networks. Sources: the public getters of the contracts (Controller, NDContract,
//! MNDContract, CspEscrow) of ratio1-sc at 2026-02, and `price tiers` of the NDContract.

use r1_core::{EthAddress, U256};

use super::{
    AdoptionParams, Allocation, JobParams, JobPrice, MndParams, Mode, NdParams, NetworkParams, ParamsError,
    Tier,
};

const NOBODY: EthAddress = EthAddress::new([0; 20]);
const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;

/// Whole USD per licence, licences.
const TIERS: [(u64, u64); 12] = [
    (500, 89),
    (750, 144),
    (1_000, 233),
    (1_500, 377),
    (2_000, 610),
    (2_500, 987),
    (3_000, 1_597),
    (3_500, 2_584),
    (4_000, 4_181),
    (5_000, 6_765),
    (7_000, 10_946),
    (9_500, 17_711),
];

/// Number, name, micro-USDC per node and epoch.
const JOB_TYPES: [(u8, &str, Option<u64>); 45] = [
    (1, "ENTRY", Some(375_000)),
    (2, "LOW1", Some(750_000)),
    (3, "LOW2", Some(1_000_000)),
    (4, "MED1", Some(1_916_666)),
    (5, "MED2", Some(2_916_666)),
    (6, "HIGH1", Some(3_750_000)),
    (7, "HIGH2", Some(5_333_333)),
    (8, "ULTRA1", Some(8_333_333)),
    (9, "ULTRA2", Some(12_500_000)),
    (10, "PGSQL_LOW", None),
    (11, "PGSQL_MED", None),
    (12, "MYSQL_LOW", None),
    (13, "MYSQL_MED", None),
    (14, "NOSQL_LOW", None),
    (15, "NOSQL_MED", None),
    (16, "N_ENTRY", Some(2_500_000)),
    (17, "N_MED1", Some(3_750_000)),
    (18, "N_MED2", Some(6_000_000)),
    (19, "N_HIGH", Some(9_000_000)),
    (20, "N_ULTRA", Some(13_333_333)),
    (21, "G_ENTRY_MED1", Some(3_116_666)),
    (22, "G_ENTRY_MED2", Some(4_116_666)),
    (23, "G_ENTRY_N_ENTRY", Some(3_700_000)),
    (24, "G_ENTRY_N_MED1", Some(4_950_000)),
    (25, "G_MED_MED2", Some(5_316_666)),
    (26, "G_MED_HIGH1", Some(6_150_000)),
    (27, "G_MED_HIGH2", Some(7_733_333)),
    (28, "G_MED_ULTRA1", Some(10_733_333)),
    (29, "G_MED_N_MED1", Some(6_150_000)),
    (30, "G_MED_N_MED2", Some(8_400_000)),
    (31, "G_MED_N_HIGH", Some(11_400_000)),
    (32, "G_HIGH_HIGH2", Some(10_133_333)),
    (33, "G_HIGH_ULTRA1", Some(13_133_333)),
    (34, "G_HIGH_ULTRA2", Some(17_300_000)),
    (35, "G_HIGH_N_MED2", Some(10_800_000)),
    (36, "G_HIGH_N_HIGH", Some(13_800_000)),
    (37, "G_HIGH_N_ULTRA", Some(18_133_333)),
    (38, "G_ULTRA_ULTRA1", Some(38_333_333)),
    (39, "G_ULTRA_ULTRA2", Some(42_500_000)),
    (40, "G_ULTRA_N_ULTRA", Some(43_333_333)),
    (50, "SERVICE_ENTRY", Some(450_000)),
    (51, "SERVICE_MED1", Some(2_300_000)),
    (52, "SERVICE_HIGH1", Some(4_500_000)),
    (53, "MICRO", Some(100_000)),
    (54, "LITE", Some(166_666)),
];

/// R1 wei from a number below 2^128.
const fn r1(wei: u128) -> U256 {
    U256::from_limbs([wei as u64, (wei >> 64) as u64, 0, 0])
}

fn nd() -> NdParams {
    NdParams {
        max_supply: 46_224,
        reward_per_epoch: r1(1_458_508_188_386_985_115),
        cap: r1(1_575_188_843_457_943_925_233),
        link_cooldown_ms: DAY_MS,
        tiers: TIERS.map(|(usd, units)| Tier { usd, units }).to_vec(),
        burn_bp: 2_000,
        liquidity_bp: 5_000,
        company_bp: 3_000,
        direct_add_lp_bp: 5_000,
        company_floor_bp: 9_700,
        price_tolerance_bp: 1_000,
        price_tolerance_after_ms: HOUR_MS,
        lp_wallet: NOBODY,
        company_wallet: NOBODY,
        vat_wallet: NOBODY,
    }
}

fn mnd() -> MndParams {
    MndParams {
        max_supply: 500,
        max_assigned: r1(42_230_686_878_000_000_000_000_000),
        max_per_licence: r1(3_236_067_960_000_000_000_000_000),
        no_mining_epochs: 223,
        mining_epochs: 900,
        plateau: r1(300_505_239_501_691_000_000),
        steepness: r1(5_000_000_000_000_000_000),
        middle: r1(700_000_000_000_000_000),
        carry_over_factor: 255,
        gnd_assigned: r1(46_761_182_022_000_000_000_000_000),
        gnd_epochs: 365,
        // Liquidity, expenses, marketing, grants, social responsibility.
        gnd_split: [2_671, 1_384, 754, 3_460, 1_731]
            .map(|share| (NOBODY, share))
            .to_vec(),
    }
}

fn jobs() -> JobParams {
    let price = |(id, name, usdc): (u8, &str, Option<u64>)| JobPrice {
        id,
        name: name.to_owned(),
        usdc,
    };
    JobParams {
        burn_percent: 15,
        min_epochs: 30,
        redeem_after_ms: HOUR_MS,
        consensus_cooldown_ms: 300_000,
        prices: JOB_TYPES.map(price).to_vec(),
    }
}

impl NetworkParams {
    /// Names of the presets.
    pub const PRESETS: [&str; 4] = ["mainnet", "testnet", "devnet", "local"];

    /// The constants of a network by name: `mainnet`, `testnet`, `devnet`, `local`. Addresses of wallets are those of
    /// nobody; a network sets its own in its genesis.
    ///
    /// # Errors
    /// [`ParamsError::Preset`].
    pub fn preset(name: &str) -> Result<Self, ParamsError> {
        // 2025-05-23 16:00 UTC; the devnet of 2026-06 began 2026-05-01 16:00 UTC.
        let (mode, chain_id, epoch_start_ms, epoch_length_ms) = match name {
            "mainnet" => (Mode::Compat, 8_453, 1_748_016_000_000, DAY_MS),
            "testnet" => (Mode::Compat, 84_532, 1_748_016_000_000, DAY_MS),
            "devnet" => (Mode::Compat, 84_532, 1_777_651_200_000, 4 * HOUR_MS),
            "local" => (Mode::Strict, 31_337, 0, DAY_MS),
            other => return Err(ParamsError::Preset(other.chars().take(40).collect())),
        };
        Ok(Self {
            preset: name.to_owned(),
            mode,
            chain_id,
            epoch_start_ms,
            epoch_length_ms,
            owner: NOBODY,
            r1_cap: r1(161_803_398_000_000_000_000_000_000),
            minimum_signatures: 1,
            nd: nd(),
            mnd: mnd(),
            adoption: AdoptionParams {
                licences: 7_500,
                volume_usdc: 5_000_000_000_000,
            },
            jobs: jobs(),
            allocations: Vec::new(),
            pool: Allocation {
                account: NOBODY,
                r1: U256::ZERO,
                usdc: U256::ZERO,
            },
        })
    }
}
