// A run: a scenario, a seed and the visitor's edits, and how a link holds them.

export const SCENARIOS = [
  ["cold", "Cold start, half of eight silent"],
  ["dies", "The one in use dies"],
  ["down", "Everything down, one returns"],
  ["empty", "The nearest knows no peers"],
  ["cluster", "A cluster"],
  ["thousand", "A thousand torrents"],
];

const CHANGES = ["kill", "refuse", "mute", "slow", "empty", "revive"];

/** The run of a link's fragment: `#cold,7,12000.3.kill`. What isn't understood is left out. */
export function fromLink(fragment) {
  const [scenario, seed, ...edits] = fragment.replace(/^#/, "").split(",");
  const known = SCENARIOS.some(([id]) => id === scenario);
  const number = Number(seed);
  return {
    scenario: known ? scenario : "cold",
    seed: Number.isInteger(number) && number >= 0 && number < 2 ** 32 ? number : 1,
    edits: edits.map(toEdit).filter(Boolean).slice(0, 1000),
  };
}

/** The link's fragment of a run. */
export function toLink({ scenario, seed, edits }) {
  const written = edits.map(({ at, tracker, change }) => `${at}.${tracker}.${change}`);
  return `#${[scenario, seed, ...written].join(",")}`;
}

function toEdit(text) {
  const [at, tracker, change] = text.split(".");
  const edit = { at: Number(at), tracker: Number(tracker), change };
  const isSound = Number.isSafeInteger(edit.at) && edit.at >= 0 && Number.isInteger(edit.tracker)
    && edit.tracker >= 0 && edit.tracker < 8 && CHANGES.includes(change);
  return isSound ? edit : null;
}
