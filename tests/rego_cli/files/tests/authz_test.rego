package authz_test

import data.authz

test_allowed if authz.allow with input as {"user": "bob", "level": 4}

test_denied if {
	reasons := authz.deny with input as {"user": "al", "level": 9}
	reasons == {"al may not"}
}

test_double if authz.double(2) == 4

test_double if authz.double(0) == 0
