package authz

import (
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// TestKnownSignatures has signatures that neither we nor Go made.
func TestKnownSignatures(t *testing.T) {
	decode := func(text string) []byte { return must(base64.RawURLEncoding.DecodeString(text)) }
	fromPEM := func(text string) key {
		return must(parsePEM([]byte("-----BEGIN PUBLIC KEY-----\n"+text+"\n-----END PUBLIC KEY-----\n"), []string{"RS384", "RS512"})).list[0]
	}
	rfc7515 := &rsa.PublicKey{E: 65537, N: new(big.Int).SetBytes(decode("ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp" +
		"-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB" +
		"dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW" +
		"yuXpoQ"))}
	tests := []struct {
		name      string
		key       key
		method    jwt.SigningMethod
		signed    string
		signature string
	}{
		{
			"RFC 7515 appendix A.2", must(usableKey("", "", rfc7515, []string{"RS256"})), jwt.SigningMethodRS256,
			"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
			"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKB" +
				"YNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv" +
				"hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
		},
		{
			"OpenSSL, 3072 bits", fromPEM(`MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEAnHl+C1wvsO9BB3dCdQNm
aF5EIes68BkgAchcX5tW/s7CGeLtoPPgJuWb1z5e3/cI7suBeqMJzxZBG9pP3SDk
LKLrqQkjhhdW60vATOkkF4p7CO+0jDV/ZIN+hkfytNkoI7GUwe+8jn58SRmwouzv
9eAd+c0AFnpMeYt3UVJkUCvi1aM6+QZ45nhKBePut9EeaTA0+xwa0Boo7j9ASVBN
UTA0hhVSpoICYfjGxLztbI+BgPNxW/FHFjzUGwAS2ooOQL6MrX7KL72XfYx2cFR2
2oDJQb03uJXn+H3wUPgs2Nfnll0KrY5dR/nvkwC1C7VdiuYLsy6lZYiRFE2hfEQt
lp5lKxI2KE8GzyqRjIhXdcNSnze5Hvz5W4i71nfdwPI+uUbB5Bine7rgqAZu+VWr
fox8BnmyuCFOp2Utq7UH5ykV6q0vjsf9RMYCGzkNSmJ04V3265cttPrElS3ni0pY
3CID0i3UYz5bcwJBXx8BveKkYPrwYu1EfhbIuGgW36u/AgMBAAE=`), jwt.SigningMethodRS384, "it is signed",
			"PLYYPEH5WG1r5G5kEKXRiOm-13K60xPbr0UW1bm5lcB-0738NEQSGpD3pOEMdXq7IMRg4oXFidNruPmtm8nfocmhr-LisnsqRICFryqWF1svsoejcHJRn_s9PfrddCq4" +
				"R59QkqmoXkotpWj6IIeJjVbktVR8X9CkUdiB0_tDTX8vwes5Q3O_vaqnG8C4v3G_n-0Gi1eK2v50ce_nNpTquTIGDlt63gq59vm4-k5ehONT4n_Gsvmb_JMft7FjKNGx" +
				"CfcKCB49p6XP8iES5fEbLh9pzzSuCugdaZT6vakN_dJwPELcl4o02cydvL2o3W94zqTyuT53PYemzKHJ6dmHI5mTgXG-ZQ73TbfIdnpFrE26gPtYgNKdSgsxVFBoTR0g" +
				"XzTBpDYrcVhRcs0xNsN9FC5K-2I1srJP1nuCYEk9HT_Nv2lZs2lK7fXkvXJnQqWJ9f_bkPH85Fwh63zBtTNvEa1wLM12Rm6la-hq4hUDQOXZ9S-2yYlWqduCLGwto9YP",
		},
		{
			"OpenSSL, exponent 3", fromPEM(`MIIBIDANBgkqhkiG9w0BAQEFAAOCAQ0AMIIBCAKCAQEAsLiBsUQJYrYcbKfCdm+2
Fnx1lJanOuvXodxtapmINpgDyDZ0qghTInuju7X5EOjkvGhCdXqfHxmBJl41kF59
Lw9arNTsNtJ6ZlNHWtBPwo6eq/ZBHa63GrNcfkAUWdVvmdZ+GSn2MRsz+4AUy8ip
Bo5AsNqirLC10wkDX+CivTP2RGGnCouE6V/Y1rNHyE2bIx6MkBUTyyOFQS0xBlJn
aHBG0EUsy24mfsX0X3rxLjU+nryzu2/qg1K9NiQBSEnhx6/wRu6lGKr5u6Hlv9Ep
48mpg8HvrNuI8a7DECB2sWviTzrels3hKf/mI4yXLJKrfVrOL2fWjXVRNTz8L3aJ
1wIBAw==`), jwt.SigningMethodRS512, "it is signed",
			"HpnEgecXV6HrfGV-a_lPWo6OumRUDDvQIe3j038ye9NUNWuVKwqH4QVpaivYlUNyxGir4yQZT8kRdUIcTcCMNEUlPmTYm9OW1iXXvdvWLo2wDkqQIpMNf6pUhhHNfKux" +
				"k21hmr8scyPHCX6Sqv-Jd2VLuZkRXxP1jHivn9JO56Jh0H6rwfan_oGuVic074e-AxwXFkQSUvQTYaVPtY-lbzOh0dgo2cjU6VIM9iKdr8H4Rxzx2LXKP11tFkKdNdXg" +
				"IPfZneWlEBQjQBxD5JQr2-fyydSslH252IDEBm7_U3iGV9WtFgCEl_j-vNKY70ig0nvH03_Z7rJwG0P7vKAv5Q",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.key.pkcs1 == nil {
				t.Fatal("the key is not ready")
			}
			if err := tt.key.verify(tt.method, tt.signed, decode(tt.signature)); err != nil {
				t.Errorf("verify() = %v, want nil", err)
			}
			if tt.key.verify(tt.method, tt.signed+".", decode(tt.signature)) == nil {
				t.Error("verify() of another text = nil, want an error")
			}
		})
	}
}
