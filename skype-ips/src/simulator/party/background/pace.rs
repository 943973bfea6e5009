//! Times and sizes: draws from the distributions that measurements were fitted to.

use std::time::Duration;

use fastrand::Rng;

/// Exponential with this mean.
pub(super) fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    // 1 - f64() is never 0.
    -(1.0 - rng.f64()).ln() * mean
}

/// Pareto: at least `least`, the heavier the tail the smaller `shape`.
pub(super) fn pareto(rng: &mut Rng, shape: f64, least: f64) -> f64 {
    least / (1.0 - rng.f64()).powf(1.0 / shape)
}

/// Normal, by Box and Muller.
pub(super) fn normal(rng: &mut Rng, mean: f64, deviation: f64) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    mean + deviation * radius * (std::f64::consts::TAU * rng.f64()).cos()
}

/// Log-normal: the logarithm has this mean and deviation.
pub(super) fn log_normal(rng: &mut Rng, mean: f64, deviation: f64) -> f64 {
    normal(rng, mean, deviation).exp()
}

/// So many seconds, exponential with this mean.
pub(super) fn pause(rng: &mut Rng, mean: f64) -> Duration {
    Duration::from_secs_f64(exponential(rng, mean))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(mut draw: impl FnMut(&mut Rng) -> f64) -> f64 {
        let mut rng = Rng::with_seed(1);
        (0..20_000).map(|_| draw(&mut rng)).sum::<f64>() / 20_000.0
    }

    #[test]
    fn draws_have_the_means_of_their_distributions() {
        assert!((mean(|rng| exponential(rng, 3.0)) - 3.0).abs() < 0.1);
        assert!((mean(|rng| pareto(rng, 3.0, 2.0)) - 3.0).abs() < 0.1);
        assert!((mean(|rng| normal(rng, 3.0, 1.0)) - 3.0).abs() < 0.1);
        assert!((mean(|rng| log_normal(rng, 0.0, 0.5)) - 1.133).abs() < 0.05);
    }
}
