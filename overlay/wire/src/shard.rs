//! The numbers of an edge's nodes.
//!
//! Each worker of a process is a node, and a process may take over from another one that still drains: a shard says which of the processes, and which
//! worker of it. Streams stay with their shards, so that those of the one process never come to the other.

/// Workers that a process may have.
pub const WORKERS: u16 = 256;

/// Processes that took over and are told apart.
const GENERATIONS: u64 = 255;

/// The shard of a worker. `generation` counts the processes before that each handed over to the next one.
pub fn shard(generation: u64, worker: u8) -> u16 {
    let generation = generation.checked_sub(1).map_or(0, |before| 1 + before % GENERATIONS);
    u16::try_from(generation).unwrap_or_default() * WORKERS + u16::from(worker)
}

/// Whether the worker's process has taken over from nobody, so that there was no other one when it began.
pub fn is_alone(shard: u16) -> bool {
    shard < WORKERS
}

/// Which worker of its process it is.
pub fn worker(shard: u16) -> u16 {
    shard % WORKERS
}

/// Whether it is the first worker of a process, which speaks for all of it.
pub fn is_first(shard: u16) -> bool {
    worker(shard) == 0
}

/// Whether both are workers of the same process.
pub fn are_of_one_process(one: u16, other: u16) -> bool {
    one / WORKERS == other / WORKERS
}

/// Whether the process of the first has taken over from that of the other.
pub fn has_taken_over_from(shard: u16, other: u16) -> bool {
    match (u64::from(shard / WORKERS), u64::from(other / WORKERS)) {
        (0, _) => false,
        (1, before) => before == 0 || before == GENERATIONS,
        (generation, before) => before + 1 == generation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_of_processes_that_follow_each_other_are_told_apart() {
        assert_eq!((shard(0, 0), shard(0, 7), shard(1, 0), shard(255, 255)), (0, 7, 256, u16::MAX));
        assert_eq!(shard(256, 3), shard(1, 3), "by then that one is long gone");
        for generation in 0..300 {
            assert!(is_first(shard(generation, 0)) && !is_first(shard(generation, 1)));
            assert!(are_of_one_process(shard(generation, 0), shard(generation, 255)));
            assert!(!are_of_one_process(shard(generation, 9), shard(generation + 1, 9)));
            assert!(has_taken_over_from(shard(generation + 1, 9), shard(generation, 8)));
            assert!(!has_taken_over_from(shard(generation, 9), shard(generation, 8)));
            assert!(!has_taken_over_from(shard(generation, 9), shard(generation + 1, 8)));
            assert_eq!(worker(shard(generation, 9)), 9);
            assert_eq!(is_alone(shard(generation, 255)), generation == 0);
        }
    }
}
