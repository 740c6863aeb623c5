"use strict";
// Pictures come about once a second. Nothing for so long is a line that is dead without saying so.
const PATIENCE = 15000;
const AGAIN = 3000;

const main = document.getElementById("main");
const lost = document.getElementById("lost");
let watchdog;

// Makes one node like another and touches only what differs, so that a screen reader, a selection
// and the scroll position stay where they are.
function become(node, wanted) {
  if (node.nodeType !== wanted.nodeType || node.nodeName !== wanted.nodeName) {
    node.replaceWith(wanted.cloneNode(true));
    return;
  }
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== wanted.data) node.data = wanted.data;
    return;
  }
  for (const { name } of [...node.attributes]) {
    if (!wanted.hasAttribute(name)) node.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  children(node, wanted);
}

function children(node, wanted) {
  while (node.childNodes.length > wanted.childNodes.length) node.lastChild.remove();
  [...wanted.childNodes].forEach((child, at) => {
    if (at < node.childNodes.length) become(node.childNodes[at], child);
    else node.append(child.cloneNode(true));
  });
}

function connected(is) {
  if (lost.hidden !== is) lost.hidden = is;
  main.classList.toggle("old", !is);
}

function listen() {
  const events = new EventSource("events");
  const dead = () => {
    connected(false);
    events.close();
    clearTimeout(watchdog);
    setTimeout(listen, AGAIN);
  };
  const hope = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(dead, PATIENCE);
  };
  events.onmessage = ({ data }) => {
    const { html, title } = JSON.parse(data);
    const wanted = new DOMParser().parseFromString(`<title>${title}</title><main>${html}</main>`, "text/html");
    children(main, wanted.querySelector("main"));
    if (document.title !== wanted.title) document.title = wanted.title;
    connected(true);
    hope();
  };
  events.onerror = dead;
  hope();
}

listen();
