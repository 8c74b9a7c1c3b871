//! The conductor of one shard: owns its calls, its transactions and its media relay, and routes SIP messages to them.
