// All tests, in one process: they share a browser.

import { after } from "node:test";
import { close } from "./harness.js";
import "./numbers.test.js";
import "./glob.test.js";
import "./columns.test.js";
import "./where.test.js";
import "./acts.test.js";
import "./hostile.test.js";
import "./sizes.test.js";
import "./access.test.js";
import "./redacted.test.js";
import "./pictures.test.js";

after(close);
