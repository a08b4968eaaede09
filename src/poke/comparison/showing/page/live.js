// Asks the server for news and shows them where the reader is: what is chosen, sorted, open, focused or read off stays.
const ASK_MILLISECONDS = 2000;

async function ask() {
  const pulse = byId("pulse");
  try {
    if (!document.hidden) {
      const answer = await fetch(`data?version=${data.version}`);
      if (answer.status === 200) showNews(await answer.json());
      pulse.textContent = "live: follows the runs as they write";
      pulse.className = "note";
    }
  } catch {
    pulse.textContent = "the server has stopped: this is what the runs last said";
    pulse.className = "note over";
  }
  setTimeout(ask, ASK_MILLISECONDS);
}

function showNews(news) {
  const key = document.activeElement?.dataset?.key;
  const read = byId("cross") ? view.xs[view.at] : null;
  const { scrollX, scrollY } = window;
  data = news;
  drawAll();
  if (key) [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key)?.focus({ preventScroll: true });
  if (read !== null && view) moveCross(nearest({ x: view.xs }, read));
  window.scrollTo(scrollX, scrollY);
}

ask();
