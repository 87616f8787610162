//! Signed fixed-point numbers with 18 decimals (SD59x18), with the results and the refusals of PRBMath 4.1, which the
//! MNDContract computes with. All divisions truncate toward zero.

use std::{fmt, sync::LazyLock};

use r1_core::{U256, U512};

/// 1.0
const UNIT: u64 = 1_000_000_000_000_000_000;
/// log2(e).
const LOG2_E: u64 = 1_442_695_040_888_963_407;
/// Largest exponent of e.
const EXP_MAX: u128 = 133_084_258_667_509_499_440;
/// Below minus this e^x is 0.
const EXP_MIN: u128 = 41_446_531_673_892_822_322;
/// Largest exponent of 2.
const EXP2_MAX: u128 = 192 * UNIT as u128 - 1;
/// Below minus this 2^x is 0.
const EXP2_MIN: u128 = 59_794_705_707_972_522_261;
/// Binary digits of an exponent's fraction.
const FRACTION_BITS: usize = 64;

/// What PRBMath refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FixedError {
    /// e^x does not fit.
    #[error("e^{0} does not fit")]
    ExpTooBig(Fixed),
    /// 2^x does not fit.
    #[error("2^{0} does not fit")]
    Exp2TooBig(Fixed),
    /// A factor is the least number, which has no absolute value.
    #[error("{0} x {1}: the least number has no absolute value")]
    MulInputTooSmall(Fixed, Fixed),
    /// The product does not fit.
    #[error("{0} x {1} does not fit")]
    MulOverflow(Fixed, Fixed),
    /// A side is the least number, which has no absolute value.
    #[error("{0} / {1}: the least number has no absolute value")]
    DivInputTooSmall(Fixed, Fixed),
    /// The quotient does not fit.
    #[error("{0} / {1} does not fit")]
    DivOverflow(Fixed, Fixed),
    /// Division by zero.
    #[error("{0} / 0")]
    DivByZero(Fixed),
    /// A sum does not fit.
    #[error("{0} + {1} does not fit")]
    AddOverflow(Fixed, Fixed),
}

impl FixedError {
    /// The name of the contract's error.
    pub fn revert(&self) -> &'static str {
        match self {
            Self::ExpTooBig(_) => "PRBMath_SD59x18_Exp_InputTooBig",
            Self::Exp2TooBig(_) => "PRBMath_SD59x18_Exp2_InputTooBig",
            Self::MulInputTooSmall(..) => "PRBMath_SD59x18_Mul_InputTooSmall",
            Self::MulOverflow(..) => "PRBMath_SD59x18_Mul_Overflow",
            Self::DivInputTooSmall(..) => "PRBMath_SD59x18_Div_InputTooSmall",
            Self::DivOverflow(..) => "PRBMath_SD59x18_Div_Overflow",
            Self::DivByZero(_) => "panic 0x12",
            Self::AddOverflow(..) => "panic 0x11",
        }
    }
}

/// A number: `raw / 10^18`, raw from -2^255 to 2^255 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// Never set for zero.
    negative: bool,
    magnitude: U256,
}

impl Fixed {
    /// 0
    pub const ZERO: Self = Self {
        negative: false,
        magnitude: U256::ZERO,
    };
    /// 1
    pub const ONE: Self = Self {
        negative: false,
        magnitude: U256::from_limbs([UNIT, 0, 0, 0]),
    };

    /// A number by sign and raw magnitude; `None` outside -2^255 to 2^255 - 1.
    pub fn from_parts(negative: bool, magnitude: U256) -> Option<Self> {
        let limit = U256::from(1) << 255;
        let fits = magnitude < limit || (negative && magnitude == limit);
        fits.then_some(Self {
            negative: negative && !magnitude.is_zero(),
            magnitude,
        })
    }

    /// A number that is not negative, by its raw value; `None` from 2^255 on.
    pub fn from_raw(raw: U256) -> Option<Self> {
        Self::from_parts(false, raw)
    }

    /// A whole number.
    pub fn from_integer(value: u64) -> Self {
        // Below 2^124.
        Self {
            negative: false,
            magnitude: U256::from(value) * U256::from(UNIT),
        }
    }

    /// True below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// The raw absolute value.
    pub fn magnitude(&self) -> U256 {
        self.magnitude
    }

    /// The number with the other sign; the least number stays as it is not met here (see [`Fixed::from_parts`]).
    fn negate(self) -> Self {
        Self {
            negative: !self.negative && !self.magnitude.is_zero(),
            ..self
        }
    }

    fn is_least(&self) -> bool {
        self.magnitude.bit(255)
    }

    /// Sum.
    ///
    /// # Errors
    /// [`FixedError::AddOverflow`].
    pub fn checked_add(self, other: Self) -> Result<Self, FixedError> {
        let overflow = FixedError::AddOverflow(self, other);
        if self.negative == other.negative {
            let sum = self.magnitude.checked_add(other.magnitude).ok_or(overflow)?;
            return Self::from_parts(self.negative, sum).ok_or(overflow);
        }
        let (larger, smaller) = if self.magnitude >= other.magnitude {
            (self, other)
        } else {
            (other, self)
        };
        Self::from_parts(larger.negative, larger.magnitude - smaller.magnitude).ok_or(overflow)
    }

    /// Difference.
    ///
    /// # Errors
    /// [`FixedError::AddOverflow`].
    pub fn checked_sub(self, other: Self) -> Result<Self, FixedError> {
        self.checked_add(other.negate())
    }

    /// Product.
    ///
    /// # Errors
    /// [`FixedError::MulInputTooSmall`], [`FixedError::MulOverflow`].
    pub fn checked_mul(self, other: Self) -> Result<Self, FixedError> {
        if self.is_least() || other.is_least() {
            return Err(FixedError::MulInputTooSmall(self, other));
        }
        let product: U512 = self.magnitude.widening_mul(other.magnitude);
        narrow(product / U512::from(UNIT))
            .and_then(|magnitude| Self::from_parts(self.negative != other.negative, magnitude))
            .filter(|result| !result.is_least())
            .ok_or(FixedError::MulOverflow(self, other))
    }

    /// Quotient.
    ///
    /// # Errors
    /// [`FixedError::DivInputTooSmall`], [`FixedError::DivOverflow`], [`FixedError::DivByZero`].
    pub fn checked_div(self, other: Self) -> Result<Self, FixedError> {
        if self.is_least() || other.is_least() {
            return Err(FixedError::DivInputTooSmall(self, other));
        }
        if other.magnitude.is_zero() {
            return Err(FixedError::DivByZero(self));
        }
        let scaled: U512 = self.magnitude.widening_mul(U256::from(UNIT));
        narrow(scaled / U512::from(other.magnitude))
            .and_then(|magnitude| Self::from_parts(self.negative != other.negative, magnitude))
            .filter(|result| !result.is_least())
            .ok_or(FixedError::DivOverflow(self, other))
    }

    /// e^x.
    ///
    /// # Errors
    /// [`FixedError::ExpTooBig`].
    pub fn exp(self) -> Result<Self, FixedError> {
        if self.negative && self.magnitude > U256::from(EXP_MIN) {
            return Ok(Self::ZERO);
        }
        if !self.negative && self.magnitude > U256::from(EXP_MAX) {
            return Err(FixedError::ExpTooBig(self));
        }
        // Below 2^67 * 2^61.
        let magnitude = self.magnitude * U256::from(LOG2_E) / U256::from(UNIT);
        Self {
            negative: self.negative && !magnitude.is_zero(),
            magnitude,
        }
        .exp2()
    }

    /// 2^x.
    ///
    /// # Errors
    /// [`FixedError::Exp2TooBig`].
    pub fn exp2(self) -> Result<Self, FixedError> {
        if self.negative {
            if self.magnitude > U256::from(EXP2_MIN) {
                return Ok(Self::ZERO);
            }
            let inverse = self.negate().exp2()?.magnitude;
            let magnitude = U256::from(UNIT) * U256::from(UNIT) / inverse;
            return Ok(Self {
                magnitude,
                ..Self::ZERO
            });
        }
        if self.magnitude > U256::from(EXP2_MAX) {
            return Err(FixedError::Exp2TooBig(self));
        }
        let magnitude = binary_exp2((self.magnitude << FRACTION_BITS) / U256::from(UNIT));
        Ok(Self {
            magnitude,
            ..Self::ZERO
        })
    }
}

impl fmt::Display for Fixed {
    /// All digits, without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        write!(f, "{sign}{}", r1_core::format_r1(self.magnitude))
    }
}

fn narrow(value: U512) -> Option<U256> {
    let limbs = value.as_limbs();
    limbs[4..]
        .iter()
        .all(|limb| *limb == 0)
        .then(|| U256::from_limbs([limbs[0], limbs[1], limbs[2], limbs[3]]))
}

/// `round(2^(2^-i) * 2^64)` for i = 1..=64: what a set binary digit of the exponent's fraction multiplies by.
static FACTORS: LazyLock<[U256; FRACTION_BITS]> = LazyLock::new(|| {
    // Square roots of 2 with 200 binary digits; the error of one step is halved by the next.
    const DIGITS: usize = 200;
    let mut root = U512::from(2) << DIGITS;
    std::array::from_fn(|_| {
        root = square_root(root << DIGITS);
        let rounded = ((root >> (DIGITS - 65)) + U512::from(1)) >> 1;
        narrow(rounded).unwrap_or(U256::MAX)
    })
});

/// `floor(sqrt(value))`, by Newton's steps from above.
fn square_root(value: U512) -> U512 {
    let mut root = U512::from(1) << value.bit_len().div_ceil(2);
    loop {
        let next = (root + value / root) >> 1;
        if next >= root {
            return root;
        }
        root = next;
    }
}

/// 2^x for a 192.64-bit x below 192, with 18 decimals.
fn binary_exp2(x: U256) -> U256 {
    let mut result = U256::from(1) << 191;
    for (index, factor) in FACTORS.iter().enumerate() {
        if x.bit(FRACTION_BITS - 1 - index) {
            // The partial result stays below 2^192 and a factor below 2^65, and their product below 2^256, as 2^191
            // times a power of two with an exponent below 1 is below 2^192.
            result = (result * *factor) >> FRACTION_BITS;
        }
    }
    let integer: usize = (x >> FRACTION_BITS).to();
    // Below 2^192 * 2^60.
    (result * U256::from(UNIT)) >> (191 - integer)
}

#[cfg(test)]
mod tests;
