//! An account of the file, read and described: its settings and its belongings are one object
//! there, and two shapes here. A key that is neither's is refused by the settings.

use super::{AccountEntry, Belongings};
use crate::admin::account::AccountSettings;
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

impl<'de> Deserialize<'de> for AccountEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entry)
    }
}

/// The keys that are no settings.
const BELONGINGS: [&str; 5] = ["hold_audio", "numbers", "agents", "keys", "callback"];

struct Entry;

impl<'de> Visitor<'de> for Entry {
    type Value = AccountEntry;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an account")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AccountEntry, A::Error> {
        let mut belongings = Belongings::default();
        let settings = Settings { map, belongings: &mut belongings };
        let settings = AccountSettings::deserialize(MapAccessDeserializer::new(settings))?;
        Ok(AccountEntry { settings, belongings })
    }
}

/// The settings of an entry; what else belongs to it is put aside as it comes.
struct Settings<'a, A> {
    map: A,
    belongings: &'a mut Belongings,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Settings<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let mut seed = seed;
        while let Some(found) = self.map.next_key_seed(Key(seed))? {
            let key = match found {
                Found::Setting(value) => return Ok(Some(value)),
                Found::Belonging(key, unused) => {
                    seed = unused;
                    key
                }
            };
            let Belongings { hold_audio, numbers, agents, keys, callback } = self.belongings;
            match key.as_str() {
                "hold_audio" => *hold_audio = self.map.next_value()?,
                "numbers" => *numbers = self.map.next_value()?,
                "agents" => *agents = self.map.next_value()?,
                "keys" => *keys = self.map.next_value()?,
                _ => *callback = self.map.next_value()?,
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// A key of an entry, of which the settings are asked only if it is no belonging's: an error is
/// told where the key stands.
struct Key<K>(K);

enum Found<K, V> {
    Setting(V),
    Belonging(String, K),
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<K> {
    type Value = Found<K, K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let key = String::deserialize(deserializer)?;
        if BELONGINGS.contains(&key.as_str()) {
            return Ok(Found::Belonging(key, self.0));
        }
        let key: StringDeserializer<D::Error> = key.into_deserializer();
        self.0.deserialize(key).map(Found::Setting)
    }
}

impl PartialSchema for AccountEntry {
    fn schema() -> RefOr<Schema> {
        let mut settings = AccountSettings::schema();
        if let RefOr::T(Schema::Object(settings)) = &mut settings
            && let RefOr::T(Schema::Object(belongings)) = Belongings::schema()
        {
            settings.properties.extend(belongings.properties);
            settings.description = Some(
                "An account with all that belongs to it. Settings left out keep their value."
                    .to_owned(),
            );
        }
        settings
    }
}

impl ToSchema for AccountEntry {
    fn name() -> Cow<'static, str> {
        "AccountEntry".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        AccountSettings::schemas(schemas);
        Belongings::schemas(schemas);
    }
}
