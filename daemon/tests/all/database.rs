//! The schema and the connection.

use crate::support::empty_database;
use bisectd::db::migrations::{self, SchemaState};

#[tokio::test]
async fn an_empty_database_is_told_from_a_migrated_one() {
    let world = empty_database().await;
    assert_eq!(
        migrations::check_schema(&world.db).await.unwrap(),
        SchemaState::Empty
    );
    migrations::up(&world.settings, None).await.unwrap();
    assert_eq!(
        migrations::check_schema(&world.db).await.unwrap(),
        SchemaState::Current
    );
}
