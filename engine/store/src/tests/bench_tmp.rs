
use super::*;
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench() {
    for fan in [1usize, 10] {
    let directory = tempfile::tempdir_in("/work/main/target").unwrap();
    let store = Store::open(StoreConfig { synchronous: Synchronous::Full, ..config(directory.path().join("heddle.db")) }).unwrap();
    let world = Arc::new(World { directory, store, made: AtomicU64::new(0) });
    let tenant = world.tenant("Academy").await;
    let mut rules = vec![];
    for _ in 0..fan { let d = world.destination(tenant).await; rules.push(world.rule(&d).await); }
    let rules = Arc::new(rules);
    let n = 12800 / fan;
    let start = std::time::Instant::now();
    let tasks: Vec<_> = (0..64).map(|_| { let w = world.clone(); let rules = rules.clone(); tokio::spawn(async move {
        for _ in 0..n/64 { w.accept(NOW, rules.iter()).await; } }) }).collect();
    for t in tasks { t.await.unwrap(); }
    let took = start.elapsed();
    println!("accept fan {fan}: {:.0}/s, {} commits, {:.1} us each", n as f64 / took.as_secs_f64(), world.store.commits(), took.as_micros() as f64 / n as f64);
    let start = std::time::Instant::now();
    let mut all = vec![];
    loop {
        let reqs: Vec<_> = rules.iter().map(|r| ClaimRequest { connection: r.connection, limit: 64, forced_only: false }).collect();
        let claims = world.store.claim(reqs, NOW, later(60000)).await.unwrap();
        let c: Vec<_> = claims.into_iter().flat_map(|c| c.claimed).collect();
        if c.is_empty() { break }
        all.extend(c);
    }
    println!("claim fan {fan}: {} in {:.1} us each", all.len(), start.elapsed().as_micros() as f64 / all.len() as f64);
    let start = std::time::Instant::now();
    let total = all.len();
    let chunks: Vec<Vec<Claimed>> = all.chunks(total.div_ceil(64)).map(|c| c.to_vec()).collect();
    let tasks: Vec<_> = chunks.into_iter().map(|c| { let w = world.clone(); tokio::spawn(async move { for x in c { w.record(&x, delivered(), later(1)).await; } }) }).collect();
    for t in tasks { t.await.unwrap(); }
    println!("record fan {fan}: {:.1} us each, commits {}", start.elapsed().as_micros() as f64 / total as f64, world.store.commits());
    let plan = world.query(|c| { let mut s = c.prepare(&format!("EXPLAIN QUERY PLAN {}", crate::claims::LANES))?; let r = s.query_map([], |r| r.get::<_, String>(3))?; r.collect::<Result<Vec<_>,_>>() }).await;
    println!("{plan:#?}");
    }
}
