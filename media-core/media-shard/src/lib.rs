//! media-shard
