// The pages work without this: it looks at an open run again, moves by keys, and copies commands.
"use strict";
(() => {
  const PAUSE = 2000;

  // --- an open run, looked at again while the tab is in sight

  /** Let a part of the page become like another one, changing only what differs: focus and selection stay. */
  function become(old, made) {
    if (old.isEqualNode(made)) return;
    if (old.nodeType !== made.nodeType || old.nodeName !== made.nodeName) {
      old.replaceWith(made);
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.nodeValue = made.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) if (!made.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of made.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const olds = [...old.childNodes], news = [...made.childNodes];
    news.forEach((child, at) => (at < olds.length ? become(olds[at], child) : old.append(child)));
    olds.slice(news.length).forEach((child) => child.remove());
  }

  let tag = null, timer = 0;
  const live = () => document.querySelector("#live[data-live]");
  const sign = (text) => {
    const at = document.querySelector(".live-sign");
    if (at) { at.hidden = false; at.textContent = text; }
  };

  async function look() {
    clearTimeout(timer);
    if (!live() || document.hidden) return;
    const address = new URL(location.href);
    address.searchParams.set("live", "1");
    try {
      const answer = await fetch(address, { headers: tag ? { "if-none-match": tag } : {}, cache: "no-store" });
      if (answer.status === 200) {
        tag = answer.headers.get("etag");
        const made = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#live");
        if (made) become(document.querySelector("#live"), made);
        if (!live()) { location.reload(); return; }
      } else if (answer.status !== 304) throw new Error(answer.status);
      sign("looked at every 2 s");
    } catch (error) {
      sign("fluxio ui does not answer: this is as it was");
    }
    timer = setTimeout(look, PAUSE);
  }

  // --- keys

  const places = { o: "/", r: "/runs", w: "/workflows", d: "/dead-letters", "?": "/help" };
  let here = -1;

  function move(by) {
    const rows = [...document.querySelectorAll("[data-row]")];
    if (!rows.length) return;
    here = Math.min(Math.max(here + by, 0), rows.length - 1);
    rows.forEach((row, at) => row.classList.toggle("here", at === here));
    const link = rows[here].querySelector("a");
    (link || rows[here]).focus();
    rows[here].scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "/") {
      event.preventDefault();
      (document.querySelector("#search") || document.querySelector("#find")).focus();
    } else if (Object.hasOwn(places, event.key)) location.assign(places[event.key]);
  });

  // --- commands, to be copied

  for (const code of document.querySelectorAll("code.copy")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy-button";
    button.textContent = "copy";
    button.setAttribute("aria-label", `Copy ${code.textContent}`);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    });
    code.after(button);
  }

  document.addEventListener("visibilitychange", look);
  if (live()) { sign("looked at every 2 s"); timer = setTimeout(look, PAUSE); }
})();
