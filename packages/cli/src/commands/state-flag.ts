/** The option that every command of the administrator has. */
export const STATE_FLAG = "--state <folder>";
export const STATE_HELP =
  "state folder of the network (default: $SALLYPORT_STATE, else the one that this user started last, else .sallyport in the checkout)";
