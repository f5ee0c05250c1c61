-- 0 before
-- 1 ended pool
-- 2 left pool
-- 3 ended unmanaged
-- 4 left unmanaged
-- 5 quarantined
-- 6 quarantined ended
-- 7 foreign ended
-- 8 gone ended
INSERT INTO "duration_totals" VALUES('attach','allocate',0.001,1,0.0); -- 1-6 8
INSERT INTO "duration_totals" VALUES('attach','plug',0.001,1,0.0); -- 1-6 8
INSERT INTO "duration_totals" VALUES('detach','guest',0.001,1,0.0); -- 5-6
INSERT INTO "duration_totals" VALUES('detach','release',0.001,1,0.0); -- 5-6
INSERT INTO "duration_totals" VALUES('detach','unplug',0.001,1,0.0); -- 5-6
INSERT INTO "duration_totals" VALUES('update','plug',0.001,1,0.0); -- 7
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0004-4000-8000-000000000000','000000000002','{"mac":"02:00:00:00:00:01","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{}','',1700000000.0); -- 1-2
INSERT INTO "holdings" VALUES('0000:02:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',0,'unmanaged','00000000-0004-4000-8000-000000000000','000000000002','{"mac":"02:00:00:00:00:05","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{}','',1700000000.0); -- 3-4
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0004-4000-8000-000000000000','000000000002','{"mac":"02:00:00:00:00:01","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{}','0000:01:10.0 could not be set as it should be: trust: Operation not supported',1700000000.0); -- 5-6
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf9','52:54:00:00:00:09',1,'','','000000000002','{"trust":false}','{"trust":true}','',1700000000.0); -- 7
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0004-4000-8000-000000000000','000000000002','{"mac":"02:00:00:00:00:09","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{}','',1700000000.0); -- 8
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-vf1','fake','52:54:00:00:00:01','hostdev','0000:01:10.0','','','','pool','Initialised','Connected','',1700000000.0); -- 1-2 8
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-vf1','fake','52:54:00:00:00:01','hostdev','0000:02:10.0','','','','unmanaged','Initialised','Connected','',1700000000.0); -- 3-4
INSERT INTO "operation_totals" VALUES('attach','hostdev','done','',1); -- 1-6 8
INSERT INTO "operation_totals" VALUES('detach','hostdev','done','',1); -- 5-6
INSERT INTO "operation_totals" VALUES('update','hostdev','done','',1); -- 7
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''pool''/><alias name=''ua-vf1''/></interface>"}],"remembered":[]}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 1-2 5-6 8
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''unmanaged''/><alias name=''ua-vf1''/></interface>"}],"remembered":[]}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 3-4
INSERT INTO "operations" VALUES(2,'000000000005','detach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','hostdev','{"nics":[{"alias":"ua-vf1","live":"<interface type=\"hostdev\" managed=\"yes\"><mac address=\"52:54:00:00:00:01\"/><source><address type=\"pci\" domain=\"0x0000\" bus=\"0x01\" slot=\"0x10\" function=\"0x0\"/></source><alias name=\"ua-vf1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/></interface>","config":null}],"asked":["ua-vf1"]}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 5-6
INSERT INTO "operations" VALUES(1,'000000000002','update','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','hostdev','{"nics":[{"alias":"ua-vf9"}],"asked":[],"replace":false,"live":{"before":"<interface type=\"hostdev\" managed=\"yes\"><mac address=\"52:54:00:00:00:09\"/><source><address type=\"pci\" domain=\"0x0000\" bus=\"0x01\" slot=\"0x10\" function=\"0x0\"/></source><alias name=\"ua-vf9\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/></interface>","after":"<interface type=\"hostdev\" managed=\"yes\"><mac address=\"52:54:00:00:00:09\"/><source><address type=\"pci\" domain=\"0x0000\" bus=\"0x01\" slot=\"0x10\" function=\"0x0\"/></source><alias name=\"ua-vf9\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/></interface>","changed":[],"device":{"address":"0000:01:10.0","mac":"52:54:00:00:00:09","before":{"trust":false},"after":{"trust":true},"kept":{"trust":true},"kept_before":null}}}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 7
INSERT INTO "steps" VALUES('000000000002',0,'reserve','ua-vf1','allocate',NULL,'done',1700000000.0,0.0,''); -- 1-6 8
INSERT INTO "steps" VALUES('000000000002',1,'allocate_actual_device','ua-vf1','allocate',NULL,'done',1700000000.0,0.0,''); -- 1-6 8
INSERT INTO "steps" VALUES('000000000002',2,'claim_device','ua-vf1','allocate','live','done',1700000000.0,0.0,''); -- 1-6 8
INSERT INTO "steps" VALUES('000000000002',3,'plug_device','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1-6 8
INSERT INTO "steps" VALUES('000000000002',4,'attach_hostdev','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1-6 8
INSERT INTO "steps" VALUES('000000000002',5,'confirm','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1-6 8
INSERT INTO "steps" VALUES('000000000005',0,'ask','ua-vf1','unplug','live','done',1700000000.0,0.0,''); -- 5-6
INSERT INTO "steps" VALUES('000000000005',1,'guest_release','ua-vf1','guest','live','done',1700000000.0,0.0,''); -- 5-6
INSERT INTO "steps" VALUES('000000000005',2,'pci_reattach','ua-vf1','release','live','done',1700000000.0,0.0,''); -- 5-6
INSERT INTO "steps" VALUES('000000000002',0,'change_device','ua-vf9','plug','live','done',1700000000.0,0.0,''); -- 7
