// SPDX-License-Identifier: MIT
// What the modules of the page share.

export const byId = (id) => document.getElementById(id);

export const number = (n) => n.toLocaleString("en").replaceAll(",", "\u202f");

export const ACTIVITIES = {
  standing: "Standing", walking: "Walking", stairs_up: "Stairs up", stairs_down: "Stairs down",
};
