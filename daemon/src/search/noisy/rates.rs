//! Failure rates that nobody knows: what is left of them when they are integrated out.
//!
//! A rate p has the prior Beta(½, ½) (Jeffreys). With f failures in t runs its likelihood is p^f (1−p)^(t−f), so the evidence is
//! B(½+f, ½+t−f) / B(½, ½), and the posterior is Beta(½+f, ½+t−f): conjugacy, e.g. Gelman et al., Bayesian Data Analysis, 2.4.
//! Two rates that must rise, p₀ < p₁, have the product of these priors on that half of the square, where it weighs ½: the
//! evidence is that of both, times 2 P(X₀ < X₁) with X₀, X₁ distributed as the posteriors.

use statrs::function::{beta::beta_reg, beta::ln_beta};

/// How often a test failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tally {
    /// Runs that failed.
    pub failures: u32,
    /// All runs that told anything.
    pub runs: u32,
}

impl Tally {
    /// One more run.
    pub fn count(&mut self, failed: bool) {
        self.failures += u32::from(failed);
        self.runs += 1;
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self { failures: self.failures + other.failures, runs: self.runs + other.runs }
    }

    pub(in super::super) const fn minus(self, other: Self) -> Self {
        Self { failures: self.failures - other.failures, runs: self.runs - other.runs }
    }

    /// The posterior of the rate.
    fn rate(self) -> Beta {
        Beta { a: 0.5 + f64::from(self.failures), b: 0.5 + f64::from(self.runs - self.failures) }
    }

    /// ln [B(½+f, ½+t−f) / B(½, ½)].
    pub(super) fn ln_evidence(self) -> f64 {
        let Beta { a, b } = self.rate();
        ln_beta(a, b) - ln_beta(0.5, 0.5)
    }

    /// The mean of the rate.
    pub(super) fn mean(self) -> f64 {
        self.rate().mean()
    }
}

/// Two rates of which the second is the higher one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rising {
    /// ln of the evidence.
    pub(super) ln_evidence: f64,
    before: Beta,
    after: Beta,
    /// P(X₀ < X₁).
    rises: f64,
}

/// What two rates are like, if the second is the higher one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    /// How probable it is that they are further apart than [`GAP`].
    pub(super) apart: f64,
    /// How probable it is that they are further apart than [`SOME_GAP`].
    pub(super) somewhat: f64,
    /// The mean of the lower rate.
    pub(super) before: f64,
    /// The mean of the higher one.
    pub(super) after: f64,
}

/// Rates that are nearer to one another are not worth a culprit.
pub(super) const GAP: f64 = 0.2;
/// Rates that are nearer to one another than this cannot be told apart by any number of runs that somebody waits for.
pub(super) const SOME_GAP: f64 = 0.1;

impl Rising {
    pub(super) fn of(before: Tally, after: Tally) -> Self {
        let (low, high) = (before.rate(), after.rate());
        let rises = below(low, high, 0.0);
        let ln_evidence = before.ln_evidence() + after.ln_evidence() + (2.0 * rises).ln();
        Self { ln_evidence, before: low, after: high, rises }
    }

    /// The most that `ln_evidence` can be, without an integral.
    pub(super) fn at_most(before: Tally, after: Tally) -> f64 {
        before.ln_evidence() + after.ln_evidence() + std::f64::consts::LN_2
    }

    pub(super) fn rates(self) -> Rates {
        let Self { before: low, after: high, rises, .. } = self;
        let share = |part: f64| if rises > 0.0 { (part / rises).clamp(0.0, 1.0) } else { 1.0 };
        // E[p₁ | p₀ < p₁] = E[p₁] P(X₀ < X₁′) / P(X₀ < X₁), where X₁′ has one failure more; and so for p₀. From
        // I_x(a+1, b) = I_x(a, b) − x^a (1−x)^b / a B(a, b) (Abramowitz and Stegun, 26.5.16), integrated over the other's density:
        // P(X₀ < X₁′) = P(X₀ < X₁) + h / a₁ and P(X₀′ < X₁) = P(X₀ < X₁) − h / a₀, with h = B(a₀+a₁, b₀+b₁) / B(a₀, b₀) B(a₁, b₁).
        let both = ln_beta(low.a + high.a, low.b + high.b) - ln_beta(low.a, low.b) - ln_beta(high.a, high.b);
        let given = |mean: f64, part: f64| if rises > 1e-9 { (mean * part / rises).clamp(0.0, 1.0) } else { mean };
        Rates {
            apart: share(below(low, high, GAP)),
            somewhat: share(below(low, high, SOME_GAP)),
            before: given(low.mean(), rises - both.exp() / low.a),
            after: given(high.mean(), rises + both.exp() / high.a),
        }
    }
}

/// A beta distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Beta {
    a: f64,
    b: f64,
}

impl Beta {
    fn mean(self) -> f64 {
        self.a / (self.a + self.b)
    }

    /// P(X ≤ x).
    fn up_to(self, x: f64) -> f64 {
        if x <= 0.0 {
            0.0
        } else if x >= 1.0 {
            1.0
        } else {
            beta_reg(self.a, self.b, x)
        }
    }

    /// The mean of a function of the rate that is 0 outside of `within`, by [`POINTS`] Gauss–Legendre points where the density is.
    ///
    /// With x = sin² θ the density is 2 sin^(2a−1) θ cos^(2b−1) θ / B(a, b), which is bounded for a, b ≥ ½ and nearly normal
    /// with variance 1 / 4(a+b) (the arcsine transformation).
    fn mean_of(self, within: (f64, f64), of: impl Fn(f64) -> f64) -> f64 {
        const WIDTH: f64 = 9.0;
        let middle = self.mean().sqrt().asin();
        let deviation = 0.5 / (self.a + self.b).sqrt();
        let from = (middle - WIDTH * deviation).max(within.0.sqrt().asin());
        let to = (middle + WIDTH * deviation).min(within.1.sqrt().asin());
        if to <= from {
            return 0.0;
        }
        let (center, half) = (f64::midpoint(from, to), (to - from) / 2.0);
        let scale = std::f64::consts::LN_2 - ln_beta(self.a, self.b);
        let at = |theta: f64| {
            let (sin, cos) = theta.sin_cos();
            let density = scale + (2.0 * self.a - 1.0) * sin.ln() + (2.0 * self.b - 1.0) * cos.ln();
            density.exp() * of(sin * sin)
        };
        let sum: f64 =
            POINTS.iter().map(|(place, weight)| weight * (at(center - half * place) + at(center + half * place))).sum();
        (sum * half).clamp(0.0, 1.0)
    }
}

/// P(X + gap < Y): an integral over the density of that one of both that is narrower, since the other's distribution function is
/// smooth there.
fn below(x: Beta, y: Beta, gap: f64) -> f64 {
    if x.a + x.b > y.a + y.b {
        x.mean_of((0.0, 1.0 - gap), |rate| 1.0 - y.up_to(rate + gap))
    } else {
        y.mean_of((gap, 1.0), |rate| x.up_to(rate - gap))
    }
}

/// The positive half of the 32 points of Gauss–Legendre quadrature and their weights (Abramowitz and Stegun, table 25.4).
const POINTS: [(f64, f64); 16] = [
    (0.048_307_665_687_738_32, 0.096_540_088_514_727_8),
    (0.144_471_961_582_796_5, 0.095_638_720_079_274_86),
    (0.239_287_362_252_137_1, 0.093_844_399_080_804_57),
    (0.331_868_602_282_127_65, 0.091_173_878_695_763_88),
    (0.421_351_276_130_635_35, 0.087_652_093_004_403_81),
    (0.506_899_908_932_229_4, 0.083_311_924_226_946_75),
    (0.587_715_757_240_762_3, 0.078_193_895_787_070_31),
    (0.663_044_266_930_215_2, 0.072_345_794_108_848_5),
    (0.732_182_118_740_289_7, 0.065_822_222_776_361_85),
    (0.794_483_795_967_942_4, 0.058_684_093_478_535_55),
    (0.849_367_613_732_57, 0.050_998_059_262_376_18),
    (0.896_321_155_766_052_1, 0.042_835_898_022_226_68),
    (0.934_906_075_937_739_7, 0.034_273_862_913_021_43),
    (0.964_762_255_587_506_4, 0.025_392_065_309_262_06),
    (0.985_611_511_545_268_3, 0.016_274_394_730_905_67),
    (0.997_263_861_849_481_6, 0.007_018_610_009_470_097),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(failures: u32, runs: u32) -> Tally {
        Tally { failures, runs }
    }

    /// The evidence of two rising rates, the share of those further apart than [`SOME_GAP`], and the means of all, by the
    /// midpoint rule on a square of angles: Beta(½, ½) is uniform in them.
    fn by_force(before: Tally, after: Tally) -> [f64; 4] {
        const N: u32 = 900;
        let rate = |n: u32| ((f64::from(n) + 0.5) / f64::from(N) * std::f64::consts::FRAC_PI_2).sin().powi(2);
        let likelihood =
            |of: Tally, p: f64| p.powi(of.failures as i32) * (1.0 - p).powi((of.runs - of.failures) as i32);
        let (mut all, mut apart, mut low, mut high) = (0.0, 0.0, 0.0, 0.0);
        for one in 0..N {
            for other in one..N {
                let weight = if one == other { 0.5 } else { 1.0 };
                let part = weight * likelihood(before, rate(one)) * likelihood(after, rate(other));
                all += part;
                low += part * rate(one);
                high += part * rate(other);
                if rate(one) + SOME_GAP < rate(other) {
                    apart += part;
                }
            }
        }
        [2.0 * all / f64::from(N * N), apart / all, low / all, high / all]
    }

    #[test]
    fn agrees_with_integration_by_force() {
        for (before, after) in [
            (tally(0, 0), tally(0, 0)),
            (tally(0, 5), tally(5, 5)),
            (tally(3, 3), tally(0, 4)),
            (tally(1, 9), tally(4, 6)),
            (tally(2, 4), tally(2, 4)),
            (tally(0, 1), tally(1, 30)),
        ] {
            let [evidence, somewhat, low, high] = by_force(before, after);
            let rising = Rising::of(before, after);
            let rates = rising.rates();
            assert!(
                (rising.ln_evidence - evidence.ln()).abs() < 5e-3,
                "{before:?} {after:?}: {rising:?} {}",
                evidence.ln()
            );
            assert!((rates.somewhat - somewhat).abs() < 5e-3, "{before:?} {after:?}: {rates:?} {somewhat}");
            assert!((rates.before - low).abs() < 2e-3 && (rates.after - high).abs() < 2e-3, "{rates:?} {low} {high}");
            assert!(rising.ln_evidence <= Rising::at_most(before, after) + 1e-9);
        }
    }

    #[test]
    fn either_is_below_the_other() {
        for (one, other) in
            [(tally(0, 0), tally(3, 7)), (tally(10, 10_000), tally(12, 10_000)), (tally(9_000, 10_000), tally(1, 2))]
        {
            let (x, y) = (one.rate(), other.rate());
            let sum = below(x, y, 0.0) + below(y, x, 0.0);
            assert!((sum - 1.0).abs() < 1e-6, "{one:?} {other:?}: {sum}");
        }
    }

    #[test]
    fn many_runs_are_sound() {
        for (before, after) in [(tally(0, 10_000), tally(10_000, 10_000)), (tally(10_000, 10_000), tally(0, 10_000))] {
            let rising = Rising::of(before, after);
            assert!(rising.ln_evidence < 0.0 && !rising.ln_evidence.is_nan(), "{rising:?}");
            let rates = rising.rates();
            assert!((0.0..=1.0).contains(&rates.before) && (0.0..=1.0).contains(&rates.after), "{rates:?}");
        }
        let near = Rising::of(tally(5_000, 10_000), tally(5_100, 10_000)).rates();
        assert!(near.apart < 1e-6, "{near:?}");
        assert!(Rising::of(tally(0, 20), tally(20, 20)).rates().apart > 0.999);
    }
}
