// SPDX-License-Identifier: MIT
// The page /steps: wires sensor, connection and drawing to what is on the page.

import { setUpLive } from "./live.js";
import { setUpRecording } from "./recording.js";

setUpLive();
setUpRecording();
