use discogs_extractor::model::{Checkpoint, Identity, Kind, Ordinal, Position, XmlOffset};
use discogs_extractor::state::view::{Filter, list};
use discogs_extractor::state::{
    Beginning, ForceWord, Forced, Illegal, Owed, StateError, Status, open_for_inspection,
};

use crate::{
    BROKER, Steps, TABLES, at, begin, deliver, identity, job, key, open, point, step, wait,
};

#[test]
fn a_file_goes_on_where_it_was_after_the_store_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    wait(async {
        let keeper = open(dir.path()).await;
        let begun = begin(&keeper, Kind::Releases, 0).await;
        assert_eq!(begun.beginning, Beginning::Fresh);
        let mut steps = Steps::from(begun.checkpoint);
        for (records, points) in
            [(10, vec![point(8, true)]), (20, vec![point(25, false)]), (5, vec![])]
        {
            let mut advance = step(steps.confirm(records), 10);
            advance.points = points;
            keeper.advance(key(Kind::Releases), advance).await.unwrap().await.unwrap();
        }
        keeper.close().await.unwrap();
        let keeper = open(dir.path()).await;
        let again = begin(&keeper, Kind::Releases, 20).await;
        assert_eq!(again.beginning, Beginning::Resumed);
        assert_eq!(again.run, begun.run);
        assert_eq!(again.checkpoint.position, Position::At(Ordinal(35), XmlOffset(3500)));
        assert_eq!(again.point, Some(point(25, false)));
        let before = |ordinal| keeper.point_before(key(Kind::Releases), Ordinal(ordinal));
        assert_eq!(before(24).await.unwrap(), Some(point(8, true)));
        assert_eq!(before(8).await.unwrap(), Some(point(8, true)));
        assert_eq!(before(7).await.unwrap(), None);
        let inspection = keeper.inspect().await.unwrap();
        assert_eq!(inspection.files[0].points, 2);
        assert_eq!(inspection.files[0].state.attempts, 2);
        keeper.close().await.unwrap();
    });
}
